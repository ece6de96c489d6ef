"""Search over sequences in one call: proposals keep the rules, campaigns come back, and values improve."""

import numpy as np
import pytest

from wrlso import CandidatePool, TanimotoGP, ThompsonSampling, Trainer, WeightedRetrainingOptimizer
from wrlso.exceptions import DataError, ParameterError
from wrlso.models import SequenceVAE
from wrlso.sequences import SequenceRules, sequence_search

WILD = "MKTAYIAKQRQISFVK"
SHORT = {"trainer": Trainer(initial_steps=10, retrain_steps=3), "random_state": 0}


def library(n=24):
    rng = np.random.default_rng(0)
    X = [WILD]
    while len(X) < n:
        x = list(WILD)
        for i in rng.integers(len(x), size=2):
            x[i] = "ACDEFGHIKLMNPQRSTVWY"[rng.integers(20)]
        X.append("".join(x))
    return list(dict.fromkeys(X))


def charge(x):
    return float(sum(letter in "KR" for letter in x))


RULES = {"wild_type": WILD, "max_mutations": 4, "fixed": [1, "10-12"], "forbidden": ["C"]}


def test_proposals_keep_the_rules_and_improve():
    X = library()
    opt = sequence_search(X, [charge(x) for x in X], **RULES, **SHORT)
    rules = SequenceRules(**RULES)
    best = opt.best_y_
    for _ in range(3):
        batch = opt.ask(8)
        assert all(rules(x) for x in batch)
        assert len(set(batch) - set(X)) == 8
        opt.tell(batch, [charge(x) for x in batch])
    assert opt.best_y_ > best
    assert isinstance(opt.surrogate, TanimotoGP)


def test_a_campaign_comes_back_bit_for_bit(tmp_path):
    X = library()
    opt = sequence_search(X, [charge(x) for x in X], **RULES, **SHORT, retrain_every=3)
    opt.save(tmp_path / "plate")
    other = WeightedRetrainingOptimizer.load(tmp_path / "plate", model=SequenceVAE())
    for _ in range(2):
        batches = [each.ask(4) for each in (opt, other)]
        assert batches[0] == batches[1]
        for each, batch in zip((opt, other), batches, strict=True):
            each.tell(batch, [charge(x) for x in batch])
    assert other.model_.rules.get_params() == opt.model_.rules.get_params()


@pytest.mark.parametrize(
    ("alphabet", "X", "rules"),
    [
        ("dna", ["ACGTACGTTGCA", "ACGTTCGTTGCA", "ACCTACGTCG"], {"gc": (0.3, 0.6), "forbidden": ["AATT"]}),
        ("rna", ["acguacguugca", "ACGTTCGTTGCA", "ACCUACGUCGGG"], {"max_homopolymer": 2}),
        ("abcd", ["abcdabcd", "aabbccdd", "dddddddd"], {"required": ["ab"]}),
    ],
)  # fmt: skip
def test_other_letters(alphabet, X, rules):
    opt = sequence_search(X, [1.0, 2.0, None, 0.5][: len(X)], alphabet=alphabet, **rules, **SHORT)
    kept = SequenceRules(alphabet, **rules)
    assert all(kept(x) for x in opt.ask(5))


def test_a_model_of_ones_own_keeps_the_rules_and_stays_as_it_is():
    X, model = library(8), SequenceVAE()
    opt = sequence_search(X, range(len(X)), model=model, **RULES, **SHORT)
    assert opt.model_.rules.get_params() == SequenceRules(**RULES).get_params()
    assert model.rules is None


def test_proteins_keep_the_first_letter_that_all_have():
    X = library()
    opt = sequence_search(X, None, length=(14, 18), **SHORT)
    assert opt.model_.rules.prefix == "M" * all(x.startswith("M") for x in X)
    X = [x for x in X if x.startswith("M")]
    for y in (None, [charge(x) for x in X]):
        opt = sequence_search(X, y, length=(14, 18), **SHORT)
        assert all(x.startswith("M") for x in opt.ask(8))
    free = sequence_search(X, None, keep_ends=False, **SHORT)
    assert not all(x.startswith("M") for x in free.ask(8))


@pytest.mark.parametrize("alphabet", ["dna", "rna", "protein", "abc"])
def test_what_is_told_is_kept_in_one_spelling(alphabet):
    X = ["abc ab", "ab\ncaa", "abacc"] if alphabet == "abc" else ["acga a", "AC-gaa", "aaAcc"]
    opt = sequence_search(X, [1.0, 2.0, 3.0], alphabet=alphabet, **SHORT)
    opt.tell(" c a b a\n" if alphabet == "abc" else "ca-aa.g", 9.0)
    plain = ["".join(x.split()) for x in X]
    plain = plain if alphabet == "abc" else [x.upper().replace("-", "") for x in plain]
    assert list(opt.X_)[: len(set(plain))] == list(dict.fromkeys(plain))
    assert opt.best_x_ == ("caba" if alphabet == "abc" else "CAAAG")


@pytest.mark.parametrize("n_told", [0, 4, 5])
def test_all_paths_keep_rules_letters_and_plausibility(n_told):
    """Before and after the first process."""
    X, small = library(10), SequenceVAE(width=16, hidden=16)
    y = [charge(x) if i < n_told else None for i, x in enumerate(X)]
    opt = sequence_search(X, y, plausibility=0.0, model=small, **RULES, **SHORT)
    batch = opt.ask(4)
    kept = SequenceRules(**RULES)
    assert all(kept(x) for x in batch)
    made = [x for x in batch if x not in X]
    if made:
        assert min(opt.model_.log_probability(made)) >= min(opt.model_.log_probability(X)) - 1e-6


def test_proposals_are_as_plausible_as_the_data():
    X, small = library(24), SequenceVAE(width=32, hidden=32)
    some = {"trainer": Trainer(initial_steps=40), "model": small, "random_state": 0}
    opt = sequence_search(X, [charge(x) for x in X], plausibility=0.0, **some)
    batch = opt.ask(8)
    least = min(opt.model_.log_probability(X))
    assert all(opt.model_.log_probability(batch) >= least - 1e-6)
    free = sequence_search(X, [charge(x) for x in X], **some)
    assert any(free.model_.log_probability(free.ask(8)) < least)
    with pytest.raises(ParameterError, match="plausibility"):
        sequence_search(X, None, plausibility=2)
    own = sequence_search(X, None, plausibility=0.1, acquisition=ThompsonSampling(), **SHORT)
    assert own.acquisition.search.plausibility == 0.1
    with pytest.raises(ParameterError, match="plausibility must be None with an acquisition"):
        sequence_search(X, None, plausibility=0.1, acquisition=ThompsonSampling(CandidatePool()))


def test_what_people_get_wrong_is_said():
    with pytest.raises(DataError, match=r"sequences holds 2 .*row 0: .*a stop \(\*\) at position 3.*row 2: "):
        sequence_search(["MK*A", "MKTA", "MXTA"], [1, 2, 3])
    with pytest.raises(DataError, match="looks like DNA and not like proteins: say alphabet='dna'"):
        sequence_search(["ACGTACGTACGTACG", "ACGTACGTACGTACC"], [1.0, 2.0])
    with pytest.raises(ParameterError, match="the rules must leave some sequence possible"):
        sequence_search(library(), None, wild_type=WILD, max_mutations=1, required=["WWW"])
    with pytest.raises(ParameterError, match="wild_type must be a sequence of protein"):
        sequence_search(library(), None, wild_type="MK1")
