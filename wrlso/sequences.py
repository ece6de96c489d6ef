"""Search over sequences of letters in one call: proteins, peptides, DNA, RNA."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wrlso._sequences.alphabets import check_kind, listed_sequences, make_alphabet
from wrlso._sequences.coding_rules import CodingRules
from wrlso._sequences.codons import coded_proteins, common_stop, split_coding
from wrlso._sequences.plates import wells
from wrlso._sequences.rules import SequenceRules
from wrlso._utils.random import isolated_torch_rng, seed_of
from wrlso.exceptions import ParameterError
from wrlso.models.protocol import LatentModel
from wrlso.models.sequences.vae import SequenceVAE
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.surrogate.pair_counts import PairCounts
from wrlso.surrogate.tanimoto_gp import TanimotoGP
from wrlso.training.trainer import Trainer

__all__ = ["CodingRules", "SequenceRules", "search_options", "sequence_search", "wells"]

_BATCH, _RATE = 32, 3e-3  # of a training


def sequence_search(
    sequences: Sequence[str],
    values: Sequence[float | None] | np.ndarray | None = None,
    *,
    alphabet: str | Sequence[str] = "protein",
    wild_type: str | None = None,
    max_mutations: int | None = None,
    fixed: Sequence[int | str] = (),
    required: Sequence[str] = (),
    forbidden: Sequence[str] = (),
    gc: tuple[float, float] | None = None,
    length: int | tuple[int, int] | None = None,
    max_homopolymer: int | None = None,
    min_log_likelihood: float | None = None,
    translate: bool = False,
    codon_usage: str | Mapping[str, float] = "e-coli",
    model: SequenceVAE | None = None,
    **options: Any,
) -> WeightedRetrainingOptimizer:
    """Start a search over sequences: ``ask`` the result for sequences to make, and ``tell`` it their values.

    The result is a :class:`wrlso.WeightedRetrainingOptimizer` fitted to the data, with a
    :class:`wrlso.models.SequenceVAE` that is trained on them. All sequences that it proposes keep the rules;
    those that it is told need not.

    Parameters
    ----------
    sequences : sequence of n str
        What to start from.
    values : sequence (n,) of float, default=None
        Their values; None or NaN: not measured.
    alphabet, wild_type, max_mutations, fixed, required, forbidden, gc, length, max_homopolymer
        The rules, see :class:`SequenceRules`. ``length=None``: that of the data, or from a tenth below to a
        tenth above where they differ.
    min_log_likelihood : float of at most 0, default=None
        Least plausibility of sequences that the model makes: log p(x) for each letter, see
        :meth:`wrlso.models.SequenceVAE.log_probability`.
    translate : bool, default=False
        Whether the sequences are DNA that codes for proteins (``alphabet="dna"``). Search and model are then
        of the proteins, sequences of one protein are one point, and proposals are DNA. See
        :class:`CodingRules` for what the rules mean then. Proposals end with the stop codon of the wild type,
        without one with the commonest, where most sequences have one.
    codon_usage : {"e-coli", "human", "yeast"} or mapping, default="e-coli"
        How often codons are used, with ``translate``.
    model : SequenceVAE, default=None
        Its weights are where the training begins; None: new ones.
    **options
        Parameters of the optimizer, such as ``direction="minimize"`` or ``random_state``.

    Raises
    ------
    DataError, DataTypeError
        For sequences that cannot be read; the error names the rows.
    ParameterError, ParameterTypeError
        For impossible rules, alone or together.

    Examples
    --------
    >>> X = ["MKTAYIAK", "MKTAYLAK", "MKSAYIAR", "MRTAYIAK", "MKTGYIAK"]
    >>> opt = sequence_search(X, [1.0, 2.0, 0.5, 1.5, 0.0], wild_type=X[0], max_mutations=3, random_state=0)
    >>> batch = opt.ask(2)
    >>> [sum(a != b for a, b in zip(x, X[0])) <= 3 for x in batch]
    [True, True]
    """
    letters = make_alphabet(alphabet)
    kept: dict[str, Any] = {
        "wild_type": wild_type,
        "max_mutations": max_mutations,
        "fixed": fixed,
        "required": required,
        "forbidden": forbidden,
        "gc": gc,
        "length": length,
        "max_homopolymer": max_homopolymer,
    }
    rules: SequenceRules | CodingRules
    if translate:
        if letters.name != "dna":
            raise ParameterError(f"translate=True needs alphabet='dna', got {alphabet!r:.80}")
        lengths = [len(protein) for protein in coded_proteins(sequences, "sequences")]
        X = [split_coding(x)[0] for x in sequences]
        rules = CodingRules(codon_usage, stop=None if wild_type else common_stop(X), **kept)
    else:
        X = listed_sequences(sequences, letters, "sequences")
        if isinstance(alphabet, str) and alphabet.lower() == "protein":
            check_kind(X, letters, "say alphabet='dna', with translate=True where they code for proteins")
        lengths = [len(x) for x in X]
        rules = SequenceRules(letters.name if letters.name != "letters" else letters.letters, **kept)
    rules.check(max(lengths, default=None))
    model = _keeping(model, rules, min_log_likelihood, options.get("random_state"))
    parts = {"feasible": rules} | search_options(model) | options
    return WeightedRetrainingOptimizer(model=model, **parts).fit(X, values)


def _keeping(
    model: SequenceVAE | None,
    rules: SequenceRules | CodingRules,
    min_log_likelihood: float | None,
    random_state: Any,
) -> SequenceVAE:
    """Return a new model, or a copy of the user's own, that keeps rules; those that it has stay."""
    if model is None:
        with isolated_torch_rng(seed_of(random_state)):
            model = SequenceVAE(rules.letters)
    model = copy.deepcopy(model)
    if model.rules is None:
        model.keep(rules)
    if min_log_likelihood is not None:
        model.keep_plausible(min_log_likelihood)
    return model


def search_options(model: LatentModel) -> dict[str, Any]:
    """Return the optimizer's parameters for a model of sequences; an empty dict for other models.

    Parameters
    ----------
    model : LatentModel

    Returns
    -------
    dict
        ``surrogate``: a :class:`wrlso.TanimotoGP` on :class:`wrlso.surrogate.PairCounts`, with letters at
        their places where the rules name a wild type. ``trainer``: small batches and long steps, with which
        the few letters in which variants of one sequence differ are learned sooner.
    """
    if not isinstance(model, SequenceVAE):
        return {}
    wild_type = None if model.rules is None else model.rules.start
    counts = PairCounts(model.alphabet.letters, wild_type=wild_type, translate=model.is_coding)
    return {
        "surrogate": TanimotoGP(counts),
        "trainer": Trainer(batch_size=_BATCH, lr=_RATE, grad_clip=5.0),
    }
