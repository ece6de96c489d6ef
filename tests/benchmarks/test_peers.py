"""Peers for the benchmark: random search and a genetic algorithm on derivations of any grammar."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.benchmarks.expressions.peers import genetic_algorithm, random_search
from wrlso.exceptions import DataError, NoCandidateError, ParameterError
from wrlso.models import ContextFreeGrammar
from wrlso.models.derivations import DerivationMoves
from wrlso.tasks import Expressions

QUERIES = """
query -> 'select' columns 'from' name | 'select' columns 'from' name 'where' test
columns -> '*' | list
list -> name | name ',' list
name -> 'a' | 'b' | 'c'
test -> name '=' name | 'not' test | '(' test 'and' test ')'
"""


class Task:
    """Strings with many of one word."""

    def __init__(self, grammar=QUERIES, max_rules=20, word="b"):
        self.grammar = grammar
        self.max_rules = max_rules
        self.word = word
        self.seen = []

    def objective(self, x):
        self.seen.append(x)
        return float(x.split().count(self.word))

    def keys(self, X):
        return list(X)


START = ["select a from a", "select * from c where b = a", "select c from a where not a = a"]
METHODS = [random_search, genetic_algorithm]
grammars = st.sampled_from([(QUERIES, 20), (QUERIES, 4), (Expressions.grammar, 15), ("A -> 'x' A | 'y'", 6)])


@settings(deadline=None)  # the first call builds a parser
@given(grammars, st.integers(0, 2**32))
def test_every_change_of_a_derivation_is_a_derivation_within_the_rules(grammar, seed):
    text, max_rules = grammar
    trees = DerivationMoves(ContextFreeGrammar(text), max_rules, np.random.default_rng(seed))
    for _ in range(20):
        mother, father = trees.sample(), trees.sample()
        for child in (mother, trees.cross(mother, father), trees.mutate(mother), trees.mutate(father)):
            assert len(child) <= max_rules
            assert tuple(trees.grammar.parse(trees.grammar.text(child))) == child


@settings(deadline=None)  # the first call builds a parser
@given(grammars, st.integers(0, 2**32))
def test_sizes_are_those_of_complete_subtrees(grammar, seed):
    trees = DerivationMoves(ContextFreeGrammar(grammar[0]), grammar[1], np.random.default_rng(seed))
    derivation = trees.sample()
    sizes = trees.sizes(derivation)
    assert sizes[0] == len(derivation)
    for place, rule in enumerate(derivation):
        below = place + 1
        for symbol in trees.children[rule]:
            assert trees.left[derivation[below]] == symbol
            below += sizes[below]
        assert below == place + sizes[place]


def test_crossing_brings_whole_parts_of_the_father():
    grammar = ContextFreeGrammar(QUERIES)
    mother = grammar.parse("select a from a where a = a")
    father = grammar.parse("select * from b where not b = b")
    trees = DerivationMoves(grammar, 20, np.random.default_rng(0))
    children = {grammar.text(trees.cross(mother, father)) for _ in range(500)}
    assert "select a from a where not b = b" in children
    assert "select a from a where b = b" in children
    assert "select * from a where a = a" in children
    assert "select * from b where not b = b" in children
    assert "select b from b where a = a" not in children  # takes two


def test_mutations_reach_the_neighbours():
    grammar = ContextFreeGrammar(Expressions.grammar)
    trees = DerivationMoves(grammar, 15, np.random.default_rng(0))
    parent = grammar.parse("x + sin( 1 )")
    children = {grammar.text(trees.mutate(parent)) for _ in range(3000)}
    neighbours = {
        "x * sin( 1 )",  # another rule in one place
        "x + exp( 1 )",
        "x + sin( 3 )",
        "x",  # a part
        "x + sin( 1 ) + x",  # around what is there
        "x + sin( 1 + x )",
        "x + 2",  # a new part
    }
    assert neighbours <= children


@pytest.mark.parametrize("method", METHODS)
def test_only_new_points_are_evaluated_and_all_calls_are_returned(method):
    task = Task()
    y = [task.objective(x) for x in START]
    task.seen.clear()
    values = method(task, START, y, 60, np.random.default_rng(1))
    assert values.shape == (60,)
    assert values.dtype == np.float64
    assert len(set(task.seen) - set(START)) == len(task.seen) == 60
    np.testing.assert_array_equal(values, [x.split().count("b") for x in task.seen])
    again = method(Task(), START, y, 60, np.random.default_rng(1))
    np.testing.assert_array_equal(values, again)
    other = method(Task(), START, y, 60, np.random.default_rng(2))
    assert not np.array_equal(values, other)


def test_the_genetic_algorithm_climbs():
    task = Task(max_rules=40)
    y = [task.objective(x) for x in START]
    evolved = [genetic_algorithm(task, START, y, 300, np.random.default_rng(seed)).max() for seed in range(5)]
    drawn = [random_search(task, START, y, 300, np.random.default_rng(seed)).max() for seed in range(5)]
    assert min(evolved) >= max(drawn) + 3


def test_identity_is_the_tasks():
    task = Expressions(n_start=300)
    X, y = task.initial_data(0)
    seen = []
    objective = task.objective
    task.objective = lambda x: seen.append(x) or objective(x)
    values = genetic_algorithm(task, X, y, 100, np.random.default_rng(0))
    assert len({*task.keys(seen)} - {*task.keys(X)}) == 100
    assert values.max() > y.max()
    assert all(len(ContextFreeGrammar(task.grammar).parse(x)) <= 15 for x in seen)


@pytest.mark.parametrize("method", METHODS)
def test_a_language_that_is_used_up_is_an_error(method):
    task = Task("A -> 'x' A | 'y'", max_rules=4)
    values = method(task, ["y"], [0.0], 3, np.random.default_rng(0))
    assert len(values) == 3
    with pytest.raises(
        NoCandidateError, match="none of 20000 proposals was new after 3 calls: use a smaller"
    ):
        method(task, ["y"], [0.0], 4, np.random.default_rng(0))


@pytest.mark.parametrize("method", METHODS)
def test_bad_arguments(method):
    rng = np.random.default_rng(0)
    with pytest.raises(ParameterError, match="budget must be an integer of at least 1"):
        method(Task(), START, [0.0] * 3, 0, rng)
    with pytest.raises(DataError, match=r"same number of points, at least 1, got 3 and \(2,\)"):
        method(Task(), START, [0.0] * 2, 5, rng)
    with pytest.raises(DataError, match=r"same number of points, at least 1, got 0 and \(0,\)"):
        method(Task(), [], [], 5, rng)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population must be an integer of at least 1"),
        ({"tournament": 0}, "tournament must be an integer of at least 1"),
        ({"crossover": 1.5}, "crossover must be a finite number >= 0 and <= 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ParameterError, match=message):
        genetic_algorithm(Task(), START, [0.0] * 3, 5, np.random.default_rng(0), **options)
