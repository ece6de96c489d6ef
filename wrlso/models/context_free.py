"""Context-free grammars as text, and the translation between strings and sequences of rules.

The sequence is that of the leftmost derivation (Kusner, Paige and Hernández-Lobato, "Grammar Variational
Autoencoder", ICML 2017). Lark does the parsing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

import numpy as np
from lark import Lark, Tree
from lark.exceptions import GrammarError as LarkGrammarError
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedToken
from numpy.typing import NDArray

from wrlso._utils.validation import check_count
from wrlso.exceptions import DataError, DataTypeError, GrammarError

__all__ = ["ContextFreeGrammar", "Rule", "shared_grammar"]

_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->|→|::=)|(?P<bar>\|)|(?P<name>[^\W\d]\w*)"
    r"|(?P<quoted>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
)
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_CACHE = 200_000  # derivations that a grammar keeps in memory
_NEVER = 1 << 30  # length of a completion that does not exist


@dataclass(frozen=True)
class Rule:
    """One production: the nonterminal on its left, the symbols on its right, and which are terminals.

    Examples
    --------
    >>> rule = Rule("Sum", ("Term", "+", "Sum"), (False, True, False))
    >>> print(rule, rule.nonterminals)
    Sum -> Term '+' Sum ('Term', 'Sum')
    """

    left: str
    right: tuple[str, ...]
    terminal: tuple[bool, ...]

    @property
    def nonterminals(self) -> tuple[str, ...]:
        """The nonterminals on the right, in order."""
        return tuple(s for s, known in zip(self.right, self.terminal, strict=True) if not known)

    def __str__(self) -> str:
        """Return the rule in the notation of a grammar."""
        right = (repr(s) if t else s for s, t in zip(self.right, self.terminal, strict=True))
        return f"{self.left} -> {' '.join(right) or repr('')}"


class ContextFreeGrammar:
    r"""A context-free grammar, read from text.

    Left recursion is fine. The grammar must be LALR(1): every string has one derivation, and one terminal of
    look-ahead is enough to find it. When several terminals match, the parser reads the longest.

    Parameters
    ----------
    text : str
        One rule a line, ``A -> B 'c' | 'd'``: nonterminals are names, terminals stand in quotes (with the
        escapes ``\n``, ``\t``, ``\\`` and those of quotes), ``''`` is the empty string; a line that starts
        with ``|`` continues, ``#`` starts a comment. The first nonterminal is the start.
    separator : str, default=" "
        Text between the terminals of a string: white space or nothing. With white space, parsing ignores
        blanks between terminals.

    Attributes
    ----------
    rules : tuple of Rule
        A derivation refers to a rule by its position here.
    nonterminals : tuple of str
        In order of appearance; the first is the start.
    left : ndarray (n_rules,) int64
        Number of the nonterminal on the left of each rule.
    right : ndarray (n_rules, width) int64
        Numbers of the nonterminals on the right, padded with -1.
    children : tuple of tuple of int
        The same without padding.
    shortest : ndarray (n_nonterminals,) int64
        Number of rules in the shortest complete derivation from each nonterminal.

    Raises
    ------
    GrammarError
        When the text is not a grammar, is ambiguous, has no terminals or has the same rule twice; or when a
        nonterminal has no rules, cannot be reached, or no derivation can complete it.

    Examples
    --------
    >>> grammar = ContextFreeGrammar("S -> S '+' T | T \n T -> '(' S ')' | 'x' | '1'")
    >>> derivation = grammar.parse("x + 1")
    >>> [str(grammar.rules[rule]) for rule in derivation]
    ["S -> S '+' T", 'S -> T', "T -> 'x'", "T -> '1'"]
    >>> grammar.text(derivation)
    'x + 1'
    """

    def __init__(self, text: str, *, separator: str = " ") -> None:
        if not isinstance(text, str):
            raise DataTypeError(f"a grammar must be text, got {type(text).__name__}")
        if not isinstance(separator, str):
            raise DataTypeError(f"separator must be a string, got {separator!r}")
        if separator.strip():
            raise GrammarError(f"separator must be empty or white space, got {separator!r}")
        self.source = text
        self.separator = separator
        self.rules: tuple[Rule, ...] = _read_rules(text)
        self.nonterminals: tuple[str, ...] = tuple(dict.fromkeys(rule.left for rule in self.rules))
        _check_rules(self.rules, self.nonterminals, separator)
        number = {name: i for i, name in enumerate(self.nonterminals)}
        self._left = [number[rule.left] for rule in self.rules]  # for single look-ups, where arrays are slow
        self.left: NDArray[np.int64] = np.array(self._left, dtype=np.int64)
        self._rules_of = [
            [i for i, left in enumerate(self._left) if left == symbol]
            for symbol in range(len(self.nonterminals))
        ]
        width = max(1, max(len(rule.nonterminals) for rule in self.rules))
        self.right: NDArray[np.int64] = np.full((len(self.rules), width), -1, dtype=np.int64)
        for i, rule in enumerate(self.rules):
            self.right[i, : len(rule.nonterminals)] = [number[name] for name in rule.nonterminals]
        self.children: tuple[tuple[int, ...], ...] = tuple(
            tuple(number[name] for name in rule.nonterminals) for rule in self.rules
        )
        self.shortest: NDArray[np.int64] = _shortest(self.rules, self.nonterminals)
        self._stacked = [_stacked(rule, number) for rule in self.rules]
        self._parser: Lark | None = _make_parser(self.rules, separator)
        self._exact = _reads_back(self.terminals, separator)
        self._derivations: dict[str, tuple[int, ...]] = {}
        self._short: dict[tuple[int, int, int], tuple[tuple[int, ...], ...]] = {}

    def __repr__(self) -> str:
        """Show the size."""
        return f"<grammar of {len(self.rules)} rules from {self.nonterminals[0]}>"

    def __eq__(self, other: object) -> bool:
        """Whether the other grammar has the same rules in the same order and the same separator."""
        if not isinstance(other, ContextFreeGrammar):
            return NotImplemented
        return self.rules == other.rules and self.separator == other.separator

    def __hash__(self) -> int:
        """Return a hash of rules and separator."""
        return hash((self.rules, self.separator))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the parser and the cache."""
        return self.__dict__ | {"_parser": None, "_derivations": {}, "_short": {}}

    def __deepcopy__(self, memo: Any) -> "ContextFreeGrammar":
        """Return the grammar itself, because it never changes."""
        return self

    @property
    def terminals(self) -> tuple[str, ...]:
        """The distinct terminals, in order of appearance."""
        pairs = (pair for rule in self.rules for pair in zip(rule.right, rule.terminal, strict=True))
        return tuple(dict.fromkeys(symbol for symbol, terminal in pairs if terminal))

    def parse(self, string: str) -> tuple[int, ...]:
        """Return the rules of the leftmost derivation of a string.

        Raises
        ------
        DataTypeError
            When the argument is not a string.
        DataError
            When the string is not in the language; the message names the position.
        """
        if not isinstance(string, str):
            raise DataTypeError(f"x must be a string of the grammar, got {string!r:.80}")
        known = self._derivations.get(string)
        if known is not None:
            return known
        if self._parser is None:  # after unpickling
            self._parser = _make_parser(self.rules, self.separator)
        try:
            tree = self._parser.parse(string)
        except LarkError as error:
            raise DataError(_explain(string, error)) from None
        return self._remember(string, _leftmost(tree))

    def text(self, derivation: Sequence[int]) -> str:
        """Return the string of a complete derivation.

        Raises
        ------
        DataError
            When a rule does not fit, or the derivation ends too early or too late.
        """
        words: list[str] = []
        stack: list[Any] = [0]
        rules = iter(derivation)
        while stack:
            symbol = stack.pop()
            if isinstance(symbol, str):
                words.append(symbol)
                continue
            rule = next(rules, None)
            if rule is None or self._left[rule] != symbol:
                raise DataError(
                    f"the derivation {list(derivation)} does not fit the grammar: expected a rule of "
                    f"{self.nonterminals[symbol]}, got {'its end' if rule is None else self.rules[rule]}"
                )
            stack += self._stacked[rule]
        if next(rules, None) is not None:
            raise DataError(f"the derivation {list(derivation)} goes on after it is complete")
        return self.separator.join(words)

    def canonical_text(self, derivation: tuple[int, ...]) -> str | None:
        """Return :meth:`text`, and keep its derivation to save parsing it later.

        None when the string does not parse: without a separator two terminals may read as another one ("C"
        and "o" as "Co").
        """
        string = self.text(derivation)
        if string in self._derivations:
            return string
        if self._exact:
            self._remember(string, derivation)
            return string
        try:
            self.parse(string)
        except DataError:
            return None
        return string

    def sample(self, max_rules: int, rng: np.random.Generator, start: int = 0) -> tuple[int, ...]:
        """Return a random complete derivation of at most ``max_rules`` rules from nonterminal ``start``.

        Each rule is sampled uniformly among those that leave room to complete the derivation.
        """
        check_count("max_rules", max_rules, minimum=int(self.shortest[start]))
        growth = self.growth.tolist()
        derivation: list[int] = []
        stack, need = [start], int(self.shortest[start])
        while stack:
            symbol = stack.pop()
            room = max_rules - len(derivation) - 1 - need
            fitting = [rule for rule in self._rules_of[symbol] if growth[rule] <= room]
            rule = fitting[rng.integers(len(fitting))]
            derivation.append(rule)
            need += growth[rule]
            stack.extend(reversed(self.children[rule]))
        return tuple(derivation)

    @cached_property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """For each rule the others that can replace it, with any subtrees below them."""
        same = [(left, children) for left, children in zip(self._left, self.children, strict=True)]
        rules = range(len(same))
        return tuple(tuple(s for s in rules if s != r and same[s] == same[r]) for r in rules)

    def short(self, symbol: int, extra: int, most: int) -> tuple[tuple[int, ...], ...]:
        """Return the complete derivations of a nonterminal that take few rules, shortest first.

        They take at most ``extra`` rules more than the shortest one. When there are more than ``most``, the
        longest are left out, except that the shortest ones are always there.
        """
        key = (symbol, extra, most)
        if key not in self._short:
            shortest = int(self.shortest[symbol])
            found: list[tuple[int, ...]] = []
            for size in range(shortest, shortest + extra + 1):
                longer = list(islice(self._of_size((symbol,), size), most + 1))
                if found and len(found) + len(longer) > most:
                    break
                found += longer
            self._short[key] = tuple(found)
        return self._short[key]

    def _of_size(self, symbols: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
        """Yield the derivations of a row of nonterminals that take this many rules together."""
        if not symbols:
            if size == 0:
                yield ()
            return
        first, *others = symbols
        for rule in self._rules_of[first]:
            below = (*self.children[rule], *others)
            if sum(int(self.shortest[s]) for s in below) <= size - 1:
                for rest in self._of_size(below, size - 1):
                    yield (rule, *rest)

    @cached_property
    def growth(self) -> NDArray[np.int64]:
        """Change of the least number of rules still needed by each rule, (n_rules,) int64."""
        after = np.where(self.right >= 0, self.shortest[self.right], 0).sum(axis=1)
        return np.asarray(after - self.shortest[self.left])

    def _remember(self, string: str, derivation: tuple[int, ...]) -> tuple[int, ...]:
        if len(self._derivations) >= _CACHE:
            self._derivations.clear()
        self._derivations[string] = derivation
        return derivation


@lru_cache(maxsize=16)
def shared_grammar(text: str, separator: str) -> ContextFreeGrammar:
    """Return the one grammar of a text, shared by all callers with its cache of derivations."""
    return ContextFreeGrammar(text, separator=separator)


def _stacked(rule: Rule, number: Mapping[str, int]) -> list[str | int]:
    """Return the right side from right to left: nonempty terminals as strings, nonterminals as numbers."""
    pairs = zip(reversed(rule.right), reversed(rule.terminal), strict=True)
    return [symbol if terminal else number[symbol] for symbol, terminal in pairs if symbol or not terminal]


def _read_rules(text: str) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    left: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        tokens = _tokens(line, number)
        if not tokens:
            continue
        if tokens[0][0] != "bar":
            if len(tokens) < 2 or tokens[0][0] != "name" or tokens[1][0] != "arrow":
                raise GrammarError(
                    f"line {number} of the grammar must be like A -> B 'c' | 'd', got {line.strip()!r}"
                )
            left, tokens = tokens[0][1], tokens[2:]
        elif left is None:
            raise GrammarError(f"line {number} of the grammar starts with |, but no rule stands before it")
        else:
            tokens = tokens[1:]
        rules += _alternatives(left, tokens, number)
    if not rules:
        raise GrammarError("a grammar must have at least one rule such as S -> 'x', got none")
    return tuple(rules)


def _tokens(line: str, number: int) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    line = line.rstrip()
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None or match.lastgroup is None:
            if line[position:].lstrip().startswith("#"):
                break
            raise GrammarError(
                f"line {number} of the grammar, column {position + 1}: expected a name, a terminal in "
                f"quotes, -> or |, got {line[position:].strip()!r:.30}"
            )
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _alternatives(left: str, tokens: list[tuple[str, str]], number: int) -> list[Rule]:
    alternatives: list[list[tuple[str, str]]] = [[]]
    for kind, token in tokens:
        if kind == "bar":
            alternatives.append([])
        elif kind == "arrow":
            raise GrammarError(f"line {number} of the grammar: expected one -> in a line, got two")
        else:
            alternatives[-1].append((kind, token))
    rules = []
    for symbols in alternatives:
        if not symbols:
            raise GrammarError(
                f"line {number} of the grammar: an alternative of {left} has no symbols; write '' for the "
                "empty string"
            )
        right = tuple(_unquote(token) if kind == "quoted" else token for kind, token in symbols)
        rules.append(Rule(left, right, tuple(kind == "quoted" for kind, _ in symbols)))
    return rules


def _unquote(token: str) -> str:
    def character(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPES:
            raise GrammarError(
                f"{escape[0]} in the terminal {token} is an unknown escape; write \\\\ for a backslash"
            )
        return _ESCAPES[escape[1]]

    return re.sub(r"\\(.)", character, token[1:-1])


def _reads_back(terminals: Sequence[str], separator: str) -> bool:
    """Whether every string parses into the terminals from which it was written, in any order of them."""
    if separator:
        return not any(character.isspace() for terminal in terminals for character in terminal)
    return not any(a != b and b.startswith(a) for a in terminals for b in terminals if a)


def _check_rules(rules: Sequence[Rule], nonterminals: Sequence[str], separator: str) -> None:
    for rule in rules:
        for symbol, terminal in zip(rule.right, rule.terminal, strict=True):
            if terminal and separator and symbol.isspace():
                raise GrammarError(
                    f"the terminal {symbol!r} in {rule} is white space, which separates terminals: use "
                    "separator=''"
                )
            if terminal and "\0" in symbol:
                raise GrammarError(f"the terminal {symbol!r} in {rule} contains a null character: remove it")
    for rule in rules:
        for name in rule.nonterminals:
            if name not in nonterminals:
                raise GrammarError(f"{name} in {rule} has no rule; put it in quotes if it is a terminal")
        if rules.count(rule) > 1:
            raise GrammarError(f"the grammar has the rule {rule} twice: remove one")
    if not any(any(rule.terminal) for rule in rules):
        raise GrammarError("the grammar has no terminals: put the symbols of the strings in quotes")
    endless = [
        name for name, n in zip(nonterminals, _shortest(rules, nonterminals), strict=True) if n >= _NEVER
    ]
    if endless:
        raise GrammarError(f"no derivation from {', '.join(endless)} ever ends: add a rule that can end")
    reached, frontier = {nonterminals[0]}, [nonterminals[0]]
    while frontier:
        name = frontier.pop()
        new = {s for rule in rules if rule.left == name for s in rule.nonterminals} - reached
        reached |= new
        frontier += sorted(new)
    if unreached := [name for name in nonterminals if name not in reached]:
        raise GrammarError(f"{', '.join(unreached)} cannot be reached from the start {nonterminals[0]}")


def _shortest(rules: Sequence[Rule], nonterminals: Sequence[str]) -> NDArray[np.int64]:
    """Rules in the shortest complete derivation from each nonterminal, by iteration to the fixed point."""
    length = dict.fromkeys(nonterminals, _NEVER)
    changed = True
    while changed:
        changed = False
        for rule in rules:
            total = 1 + sum(length[name] for name in rule.nonterminals)
            if total < length[rule.left]:
                length[rule.left] = total
                changed = True
    return np.array([length[name] for name in nonterminals], dtype=np.int64)


def _make_parser(rules: Sequence[Rule], separator: str) -> Lark:
    """Return Lark's LALR(1) parser; raise GrammarError where the grammar has conflicts."""
    names = {name: f"n{i}" for i, name in enumerate(dict.fromkeys(rule.left for rule in rules))}
    lines: dict[str, list[str]] = {}
    for i, rule in enumerate(rules):
        pairs = zip(rule.right, rule.terminal, strict=True)
        right = " ".join(_literal(s) if terminal else names[s] for s, terminal in pairs if s or not terminal)
        lines.setdefault(names[rule.left], []).append(f"{right} -> r{i}")
    text = "\n".join(f"{left}: " + "\n | ".join(alternatives) for left, alternatives in lines.items())
    if separator:
        text += "\n%ignore /\\s+/"
    try:
        return Lark(
            text, start=names[rules[0].left], parser="lalr", lexer="basic", strict=True, keep_all_tokens=True
        )
    except LarkGrammarError as error:
        raise GrammarError(
            "the grammar is ambiguous, or needs more than one terminal of look-ahead. Write the rules so "
            "that every string has one derivation, such as S -> S '+' T | T "
            f"({str(error).splitlines()[0]})"
        ) from None


def _literal(terminal: str) -> str:
    escaped = terminal.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _leftmost(tree: Tree[Any]) -> tuple[int, ...]:
    derivation: list[int] = []
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Tree):
            derivation.append(int(node.data[1:]))
            stack.extend(reversed(node.children))
    return tuple(derivation)


def _explain(string: str, error: LarkError) -> str:
    """Return a message for the user: where and why a string does not parse."""
    if not string.strip():
        return "x must be a string of the grammar, got an empty one"
    position = getattr(error, "pos_in_stream", None)
    if isinstance(error, UnexpectedCharacters) and position is not None:
        return (
            f"{string!r:.80} is not in the grammar's language: no terminal begins at position {position}, "
            f"{string[position:]!r:.20}"
        )
    token = getattr(error, "token", None)
    if isinstance(error, UnexpectedToken) and token is not None and token.type != "$END":
        return (
            f"{string!r:.80} is not in the grammar's language: {str(token)!r} at position {token.start_pos} "
            "does not fit what comes before it"
        )
    return f"{string!r:.80} is not in the grammar's language: it ends too early"
