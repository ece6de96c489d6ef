"""Search over sequences of letters in one call: proteins, peptides, DNA, RNA."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wrlso._sequences.alphabets import check_kind, listed_sequences, listed_texts, make_alphabet
from wrlso._sequences.coding_rules import CodingRules
from wrlso._sequences.codons import coded_proteins
from wrlso._sequences.plates import wells
from wrlso._sequences.rules import SequenceRules
from wrlso._sequences.start_rules import rules_of_search
from wrlso._utils.random import isolated_torch_rng, seed_of
from wrlso._utils.validation import check_flag, check_real
from wrlso.acquisition.candidate_pool import CandidatePool
from wrlso.acquisition.default_search import with_search
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
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
    plausibility: float | None = None,
    translate: bool = False,
    codon_usage: str | Mapping[str, float] | None = None,
    keep_ends: bool = True,
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
    plausibility : float in [0, 1], default=None
        Proposals are at least as likely to the model (:meth:`wrlso.models.SequenceVAE.log_probability`) as
        the sequences with a value, without the oddest of them: this share. So the bound follows the data.
        None: no bound. With an ``acquisition`` that has a search of its own this is said there.
    translate : bool, default=False
        Whether the sequences are DNA that codes for proteins (``alphabet="dna"``). Search and model are then
        of the proteins, sequences of one protein are one point, and proposals are DNA. See
        :class:`CodingRules` for what the rules mean then. Proposals end with the wild type's stop codon.
    codon_usage : {"e-coli", "human", "yeast"} or mapping, default=None
        How often codons are used, with ``translate``; None: as in "e-coli".
    keep_ends : bool, default=True
        Whether proteins that are proposed begin with M where all of the data do, so that their genes begin
        with ATG; and genes end in the commonest stop codon where most of the data have one and the wild type
        has none. ``opt.model_.rules`` says what came of it.
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
    check_flag("keep_ends", keep_ends)
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
    X = list(listed_texts(sequences, "sequences"))
    if translate:
        if letters.name != "dna":
            raise ParameterError(f"translate=True needs alphabet='dna', got {alphabet!r:.80}")
        coded_proteins(X, "sequences")  # names the rows that are none
        kept["codon_usage"] = "e-coli" if codon_usage is None else codon_usage
    else:
        if codon_usage is not None:
            raise ParameterError(
                f"codon_usage needs translate=True, without which DNA is not read as codons, got "
                f"{codon_usage!r:.80}"
            )
        read = listed_sequences(X, letters, "sequences")
        if isinstance(alphabet, str) and alphabet.lower() == "protein":
            check_kind(read, letters, "say alphabet='dna', with translate=True where they code for proteins")
    rules = rules_of_search(letters, X, coding=translate, keep_ends=keep_ends, **kept)
    check_real("plausibility", plausibility, minimum=0, maximum=1, none="any sequence")
    model = _keeping(model, rules, options.get("random_state"))
    parts = {"feasible": rules} | search_options(model, plausibility=plausibility)
    if plausibility is not None and (wanted := options.get("acquisition")) is not None:
        options["acquisition"] = with_search(wanted, parts["acquisition"].search)
        if options["acquisition"] is wanted:
            raise ParameterError(
                "plausibility must be None with an acquisition that has a search of its own: give it to the "
                f"CandidatePool there, got {plausibility!r}"
            )
    parts |= options
    return WeightedRetrainingOptimizer(model=model, **parts).fit(X, values)


def _keeping(
    model: SequenceVAE | None,
    rules: SequenceRules | CodingRules,
    random_state: Any,
) -> SequenceVAE:
    """Return a new model, or a copy of the user's own, that keeps rules; those that it has stay."""
    if model is None:
        with isolated_torch_rng(seed_of(random_state)):
            model = SequenceVAE(rules.letters)
    model = copy.deepcopy(model)
    if model.rules is None:
        model.keep(rules)
    return model


def search_options(model: LatentModel, *, plausibility: float | None = None) -> dict[str, Any]:
    """Return the optimizer's parameters for a model of sequences; an empty dict for other models.

    Parameters
    ----------
    model : LatentModel
    plausibility : float in [0, 1], default=None
        Of the :class:`wrlso.CandidatePool`; None: any sequence.

    Returns
    -------
    dict
        ``surrogate``: a :class:`wrlso.TanimotoGP` on :class:`wrlso.surrogate.PairCounts`, with letters at
        their places where the rules name a wild type. ``trainer``: small batches and long steps, with which
        the few letters in which variants of one sequence differ are learned sooner. ``acquisition``: the
        default one, where its search has a ``plausibility``.
    """
    if not isinstance(model, SequenceVAE):
        return {}
    wild_type = None if model.rules is None else model.rules.start
    counts = PairCounts(model.alphabet.letters, wild_type=wild_type, translate=model.is_coding)
    parts: dict[str, Any] = {
        "surrogate": TanimotoGP(counts),
        "trainer": Trainer(batch_size=_BATCH, lr=_RATE, grad_clip=5.0),
    }
    if plausibility is not None:
        search = CandidatePool(plausibility=plausibility)
        parts["acquisition"] = Mixture([LogExpectedImprovement(), ThompsonSampling()], search=search)
    return parts
