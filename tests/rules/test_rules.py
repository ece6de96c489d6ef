"""Rules of molecules: what they say of a molecule, how they are given, and what a search does with them."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_molecules import MOLECULES

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from sklearn.base import clone

from wrlso import (
    BrokenRulesWarning,
    CandidatePool,
    DataError,
    Filters,
    LogExpectedImprovement,
    NoCandidateError,
    ParameterError,
    ParameterTypeError,
    Trainer,
    WeightedRetrainingOptimizer,
    campaign,
)
from wrlso._chemistry.scores import synthetic_accessibility
from wrlso._chemistry.smiles import canonical, parse
from wrlso.acquisition.apart import Apart
from wrlso.campaign.views import sdf_export
from wrlso.history import History
from wrlso.models import SelfiesVAE
from wrlso.molecules import molecule_search, search_options
from wrlso.report import write_report
from wrlso.rules import NAMED, explain
from wrlso.rules.book import rules_of, words_of
from wrlso.rules.checks import likeness, unlike_atoms

ASPIRIN, NICOTINE = MOLECULES[:2]
EVERY = {
    "alerts": ("BRENK", ["PAINS"]),
    "max_sa": (2.0, 9.0),
    "weight": (400, (200.0, None)),
    "heavy_atoms": ((1, 9), (15, 99)),
    "logp": (1.0, (2.0, None)),
    "tpsa": (20.0, (60.0, None)),
    "rotatable": (1, (3, None)),
    "donors": (0, (1, None)),
    "acceptors": (3, (4, None)),
    "charge": (0, (1, 1)),
    "ring_sizes": (5, (6, 7)),
    "elements": ("C", ["C", "N", "O"]),
    "no": ("[OX2H]", ["[#7]"]),
    "keep": ("c1ccncc1", "[*:1]c1ccccc1"),
    "near": ((ASPIRIN, 0.3), (NICOTINE, 0.9)),
}


def broken(smiles, **rules):
    return [breach.rule for breach in Filters(**rules).explain(smiles)]


def quick(X, y, **options):
    """A search whose model is not trained, which takes a second."""
    search = CandidatePool(80, generations=1, sources=["mutate", "cross", "near"])
    options = {
        "trainer": Trainer(initial_epochs=0),
        "acquisition": LogExpectedImprovement(search=search),
        "random_state": 0,
        "retrain_every": None,
    } | options
    return molecule_search(X, y, **options)


# ---------------------------------------------------------------- single rules


@pytest.mark.parametrize("name", EVERY)
def test_a_molecule_breaks_a_rule_exactly_when_it_is_explained(name):
    for value in EVERY[name]:
        rules = rules_of(Filters(**{name: value}))
        verdicts = [rules.first_broken(x) is None for x in MOLECULES]
        assert verdicts == [not explain(x, Filters(**{name: value})) for x in MOLECULES]
    assert (
        len({rules_of(Filters(**{name: value})).first_broken(x) for value in EVERY[name] for x in MOLECULES})
        > 1
    )


def test_properties_are_those_of_rdkit():
    """Golden values of aspirin: 180.16, 13 atoms, 63.6 Å², no charge (PubChem CID 2244); logP by Crippen."""
    inside = {
        "weight": (180.1, 180.2), "heavy_atoms": (13, 13), "tpsa": (63.5, 63.7), "charge": 0,
        "donors": (1, 1), "acceptors": (4, 4), "rotatable": (2, 3), "logp": (1.3, 1.4),
        "ring_sizes": (6, 6), "max_sa": 2.0,
    }  # fmt: skip
    assert Filters(**inside).explain(ASPIRIN) == []
    for name, bounds in inside.items():
        low, high = bounds if isinstance(bounds, tuple) else (bounds, bounds)
        outside = 1.0 if name == "max_sa" else (high + 1, None)
        assert len(broken(ASPIRIN, **{name: outside})) == 1
        assert low <= high


def test_alerts_name_their_atoms():
    (breach,) = Filters(alerts=["brenk"]).explain("CCCC=O")
    assert (breach.rule, breach.says, breach.atoms) == ("BRENK", "BRENK alert: aldehyde", (3, 4))
    assert "quinone A" in " ".join(map(str, Filters(alerts="PAINS").explain("O=C1C=CC(=O)C=C1")))
    assert broken("c1ccccc1O", alerts=["BRENK", "PAINS", "NIH", "ZINC"]) == []


def test_rings_elements_patterns_and_a_core_name_their_atoms():
    (ring,) = Filters(ring_sizes=(5, 7)).explain("CC1CC1")
    assert (ring.value, sorted(ring.atoms)) == (3.0, [1, 2, 3])
    assert [b.atoms for b in Filters(elements=["C", "N", "O"]).explain("FCCSCF")] == [(0, 5), (3,)]
    assert [b.atoms for b in Filters(no=["OO"]).explain("COOC")] == [(1, 2)]
    (core,) = Filters(keep="[*:1]c1ccncc1").explain("Cc1ccnc(C)c1")
    assert "has substituents where the core" in core.says
    assert "lacks the core" in Filters(keep="[*:1]c1ccncc1").explain("CCO")[0].says


def test_what_is_published():
    """Both sides of each bound of Lipinski and Veber, by molecules that break nothing else."""
    assert explain(ASPIRIN, "drug-like") != []  # Brenk's list has the ester of a phenol
    assert explain("CC(C)Cc1ccc(cc1)C(C)C(=O)O", "drug-like") == []  # ibuprofen
    long = "COCCOCCOCCN(C)CCc1ccc(cc1)CCOC"
    assert {b.rule for b in explain(long, "drug-like")} == {"rotatable bonds", "BRENK"}
    assert {b.rule for b in explain("CC(C)c1ccc(-c2ccc(-c3ccc(C(C)C)cc3)cc2)cc1", "drug-like")} == {"logP"}
    assert {b.rule for b in explain("CC(C)Cc1ccc(cc1)C(C)C(=O)O", "lead-like")} == {"molecular weight"}
    assert explain("O=C(NC1CCNCC1)c1ccc(Cc2ccccn2)cc1", "lead-like") == []
    assert set(NAMED) == {"drug-like", "lead-like", "no-alerts"}


@given(
    st.lists(st.sampled_from([*NAMED, *EVERY]), min_size=1, max_size=4).filter(
        lambda names: not {"keep", "near"} <= {*names}
    ),  # aspirin lacks the core, which is refused
    st.sampled_from(MOLECULES),
)
def test_a_list_is_broken_where_one_of_its_rules_is(names, smiles):
    parts = [name if name in NAMED else Filters(**{name: EVERY[name][0]}) for name in names]
    each = [breach for part in parts for breach in explain(smiles, part)]
    assert set(explain(smiles, parts)) == set(each)
    assert (rules_of(parts).first_broken(smiles) is None) == (each == [])
    assert rules_of(parts).first_broken(smiles) in [None, *(breach.rule for breach in each)]


def test_cheap_rules_come_first():
    costs = [check.cost for check in rules_of(["no-alerts", "drug-like"]).checks]
    assert costs == sorted(costs)
    assert rules_of("drug-like") is rules_of("drug-like")  # which remembers its verdicts


def test_likeness_is_that_of_the_nearest():
    known = [*MOLECULES, "no molecule"]
    for i, x in enumerate(MOLECULES):
        assert likeness(x, known) == (1.0, i)
    assert likeness("FF", known)[0] < 0.2
    assert likeness("CCO", []) == (0.0, -1)


# ---------------------------------------------------------------- how they are given


@pytest.mark.parametrize(
    ("feasible", "error", "message"),
    [
        ("druglike", ParameterError, "feasible must be among 'drug-like', .*got 'druglike'"),
        ([], ParameterError, "at least one rule"),
        (Filters, ParameterTypeError, "feasible must be callable, the name of rules"),
        (3, ParameterTypeError, "got 3"),
        (["drug-like", 3], ParameterTypeError, "got 3"),
        (Filters(alerts=["BRENKS"]), ParameterError, "alerts must be among PAINS_A, .*got 'BRENKS'"),
        (Filters(alerts=3), ParameterTypeError, "alerts must be a sequence of str, got 3"),
        (Filters(max_sa=0.5), ParameterError, "max_sa must be a finite number >= 1"),
        (Filters(logp=(3, 1)), ParameterError, r"logp must be a pair \(smallest, largest\), got \(3, 1\)"),
        (Filters(logp="3"), ParameterTypeError, "logp must be a number, a pair"),
        (Filters(tpsa=(1, 2, 3)), ParameterTypeError, "tpsa must be a number, a pair"),
        (Filters(weight=float("nan")), ParameterError, r"weight\[1\] must be a finite number"),
        (Filters(elements=["Xx"]), ParameterError, "elements must be symbols such as 'C' and 'Cl', got 'Xx'"),
        (Filters(no=["[C"]), ParameterError, "no must hold SMARTS, got"),
        (Filters(keep="c1cc"), ParameterError, "keep must be the SMILES of one fragment"),
        (Filters(near="CCO"), ParameterTypeError, r"near must be a pair \(SMILES, similarity\), got 'CCO'"),
        (Filters(near=("C(C", 0.4)), ParameterError, "near must begin with the SMILES of a molecule"),
        (Filters(near=("CCO", 4)), ParameterError, "the similarity of near must be a finite number .*<= 1"),
        (Filters(novel=2), ParameterError, "novel must be a finite number"),
        (Filters(keep="c1ccccc1", near=("CCO", 0.4)), ParameterError, "near must begin with a molecule that"),
        (
            [Filters(keep="c1ccccc1"), Filters(keep="C")],
            ParameterError,
            "keep must be one core, got 'C', 'c1",
        ),
        ([Filters(logp=1), Filters(logp=(2, 3))], ParameterError, "logP of at least 2 and at most 1"),
    ],
)
def test_rules_that_cannot_be(feasible, error, message):
    with pytest.raises(error, match=message):
        quick(MOLECULES, np.arange(len(MOLECULES)), feasible=feasible)


def test_explain_names_what_is_no_molecule():
    with pytest.raises(DataError, match="x must be the SMILES of a molecule, got 'C\\(C', which"):
        explain("C(C", "drug-like")


def test_filters_are_an_estimator():
    filters = Filters(alerts=["BRENK"], near=(ASPIRIN, 0.3))
    assert clone(filters).get_params() == filters.get_params()
    assert words_of(filters) == f"no alerts of BRENK; near {ASPIRIN} (similarity 0.3)"
    every = Filters(charge=0, logp=(None, 3), weight=(100, 200), no="OO", keep="C", novel=0.3, elements=["C"])
    assert words_of(["drug-like", every, len]) == (
        "drug-like; charge 0; elements C; keep C; logP at most 3; no OO; novel 0.3; molecular weight 100 to "
        "200; a test of your own (len)"
    )


# ---------------------------------------------------------------- in a search

DATA = [
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CN1CCC[C@H]1c1cccnc1", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "CC(=O)Nc1ccc(O)cc1",
    "CCN(CC)CCNC(=O)c1ccc(N)cc1", "COc1ccc2[nH]cc(CCNC(C)=O)c2c1", "NCCc1c[nH]c2ccc(O)cc12",
    "CC(=O)Oc1ccccc1C(=O)O",
]  # fmt: skip
VALUES = [float(i) for i in range(len(DATA))]


def test_proposals_keep_to_the_rules_and_the_data_that_break_them_are_counted():
    with pytest.warns(BrokenRulesWarning, match="3 of 8 molecules break the rules .*: BRENK 3") as caught:
        opt = quick(DATA, VALUES, feasible="drug-like")
    assert len(caught) == 1
    batch = opt.ask(4)
    assert all(explain(x, "drug-like") == [] for x in batch)
    reasons = opt.history_.asks[-1].rejected
    assert any(reason.startswith("rule ") for reason in reasons)
    assert "rules:    drug-like" in repr(opt)
    assert "drug-like" in opt._repr_html_()


def test_the_users_own_test_counts_beside_rules():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrokenRulesWarning)
        opt = quick(DATA, VALUES, feasible=["no-alerts", lambda x: "N" in x])
    batch = opt.ask(3)
    assert all("N" in x and not explain(x, "no-alerts") for x in batch)
    assert opt.history_.asks[-1].rejected["infeasible"] > 0


def test_all_proposals_have_the_core_and_moves_are_not_wasted():
    feasible = Filters(keep="[*:1]c1ccc2[nH]cc([*:2])c2c1")
    with pytest.warns(BrokenRulesWarning, match="6 of 8 .*keep 6"):
        opt = quick(DATA, VALUES, feasible=feasible)
    batch = opt.ask(4)
    assert all(not explain(x, feasible) for x in batch)
    record = opt.history_.asks[-1]
    assert record.rejected.get("rule keep", 0) < 0.05 * record.n_decoded


def test_a_core_that_no_known_molecule_has():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrokenRulesWarning)
        opt = quick(DATA, VALUES, feasible=Filters(keep="c1cnc2nc[nH]c2n1"))
        assert all(parse(x).HasSubstructMatch(parse("c1cnc2nc[nH]c2n1")) for x in opt.ask(3))
        few = quick(DATA[:2], VALUES[:2], feasible=Filters(keep="c1cnc2nc[nH]c2n1"))
        assert len(few.ask(2)) == 2


def test_a_search_near_to_a_lead_starts_there():
    lead = "O=C(Nc1ccccc1F)C1CCN(Cc2ccncc2)CC1"
    feasible = Filters(near=(lead, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrokenRulesWarning)
        opt = quick(DATA, VALUES, feasible=feasible)
    assert all(likeness(x, [lead])[0] >= 0.5 for x in opt.ask(4))


def test_novel_keeps_away_from_what_was_known_beforehand_only():
    feasible = Filters(novel=0.5)
    opt = quick(DATA, VALUES, feasible=feasible)
    batch = opt.ask(3)
    assert all(likeness(x, DATA)[0] <= 0.5 for x in batch)
    screen = opt.tell(batch, [9.0, 8.0, 7.0]).history_
    assert len(screen) == len(DATA) + 3
    assert explain(DATA[0], feasible, DATA)[0].rule == "novel"
    assert explain(DATA[0], feasible) == []


@pytest.mark.parametrize("n_told", [0, 1, 4, 8])
def test_what_was_given_without_a_value_is_known_too(n_told):
    """But molecules without a value may be proposed themselves, away from those with one."""
    values = [value if i < n_told else None for i, value in enumerate(VALUES)]
    opt = quick(DATA, values, feasible=Filters(novel=0.6))
    made = [x for x in opt.ask(6) if x not in DATA]
    assert all(likeness(x, DATA)[0] <= 0.4 for x in made)
    assert made
    assert all(likeness(x, DATA[:n_told])[0] <= 0.4 for x in opt.pending_)


def test_rules_that_hardly_anything_keeps_to_end_in_an_error_that_counts():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrokenRulesWarning)
        opt = quick(DATA, VALUES, feasible=Filters(heavy_atoms=(10, 20), no=["[#6]"]))
    with pytest.raises(NoCandidateError, match=r"rule no \[#6\] \d+.*The rules of feasible turned away"):
        opt.ask(2)


def test_rules_of_molecules_are_for_smiles(tmp_path):
    from conftest import make_optimizer, words

    opt = make_optimizer(feasible="drug-like").fit(words(), words().sum(axis=1))
    with pytest.raises(
        ParameterTypeError, match="feasible must be a test of your own for x that are no SMILES"
    ):
        opt.ask()


def test_rules_are_kept_by_a_campaign(tmp_path):
    feasible = ["no-alerts", Filters(heavy_atoms=(5, 30), near=(DATA[0], 0.2))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrokenRulesWarning)
        opt = quick(DATA, VALUES, feasible=feasible)
    opt.save(tmp_path / "camp")
    again = WeightedRetrainingOptimizer.load(tmp_path / "camp", model=SelfiesVAE.pretrained())
    assert words_of(again.feasible) == words_of(feasible)
    assert again.ask(3) == opt.ask(3)
    other = WeightedRetrainingOptimizer.load(
        tmp_path / "camp", model=SelfiesVAE.pretrained(), feasible="lead-like"
    )
    assert other.feasible == "lead-like"


def test_a_users_own_test_is_given_again(tmp_path):
    opt = quick(DATA, VALUES, feasible=[Filters(heavy_atoms=40), str.isprintable])
    opt.save(tmp_path / "camp")
    with pytest.raises(ParameterError, match="give load\\(\\) feasible"):
        WeightedRetrainingOptimizer.load(tmp_path / "camp", model=SelfiesVAE.pretrained())


def test_salts_count_as_the_model_reads_them():
    model = SelfiesVAE.pretrained(salts="largest")
    X = [f"{x}.[Na+]" for x in DATA]
    with warnings.catch_warnings():
        warnings.simplefilter("error", BrokenRulesWarning)
        opt = quick(X, VALUES, model=model, feasible=Filters(elements=["C", "N", "O"]))
    assert {canonical(x) for x in opt.ask(2)}.isdisjoint(map(canonical, DATA))


# ---------------------------------------------------------------- reports


def test_atoms_that_differ_are_those_with_other_neighbours():
    assert unlike_atoms(ASPIRIN, ASPIRIN) == ()
    assert set(unlike_atoms("CCO", "CCN")) == {1, 2}
    assert unlike_atoms("CCN", "no molecule") == (0, 1, 2)


def test_the_report_shows_candidates_as_molecules(tmp_path):
    pytest.importorskip("matplotlib")
    opt = quick(DATA, VALUES, feasible=Filters(charge=0))
    batch = opt.ask(2)
    text = write_report(opt, tmp_path, pictures=False).read_text(encoding="utf-8")
    assert "Rules that every proposal keeps to: charge 0." in text
    assert "The candidates as molecules" in text
    for x in batch:
        similarity, place = likeness(x, DATA)
        assert f">{synthetic_accessibility(parse(x)):.1f}<" in text
        assert f">{similarity:.2f}<" in text
        assert f"{VALUES[place]:.4g} (id {place})" in text
    share = np.mean([not explain(x, "no-alerts") for x in DATA])
    assert f">{share:.0%}<" in text


def test_a_report_of_other_things_has_no_molecules(tmp_path):
    from conftest import make_optimizer, words

    opt = make_optimizer().fit(words(), words().sum(axis=1))
    opt.ask(2)
    assert "as molecules" not in write_report(opt, tmp_path, pictures=False).read_text(encoding="utf-8")


def test_molecules_as_an_sd_file(tmp_path):
    from rdkit import Chem

    opt = quick(DATA, [None, *VALUES[1:]])
    opt.tell(DATA[1], None)
    opt.save(tmp_path / "camp")
    campaign.export(tmp_path / "camp", out=tmp_path / "all.sdf")
    found = list(Chem.SDMolSupplier(str(tmp_path / "all.sdf")))
    assert [canonical(Chem.MolToSmiles(each), False) for each in found] == [canonical(x, False) for x in DATA]
    assert [each.GetProp("id") for each in found] == [str(i) for i in range(len(DATA))]
    assert [each.GetProp("y") for each in found[:3]] == ["", "1.0", "2.0"]
    assert found[0].GetProp("status") == "unlabelled"
    assert found[2].GetNumConformers() == 1


def test_what_is_no_molecule_is_in_no_sd_file():
    history = History()
    history.add(["C(C"], [0], None)
    with pytest.raises(DataError, match="an SD file holds molecules, but id 0"):
        sdf_export(history, "x", {"": "y"})


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("least", [0.3, 0.8])
def test_molecules_of_a_batch_keep_their_distance_where_they_can(least):
    rng = np.random.default_rng(0)
    scores = rng.random(len(DATA))
    apart, free, chosen = Apart(DATA, least, ["CCOc1ccccc1"]), np.ones(len(DATA), dtype=bool), []
    for _ in DATA:
        rows = apart.among(free)
        far = [i for i in np.flatnonzero(free) if likeness(DATA[i], ["CCOc1ccccc1", *chosen])[0] <= 1 - least]
        assert rows.tolist() == (far or np.flatnonzero(free).tolist())
        i = int(rows[scores[rows].argmax()])
        free[i] = False
        chosen.append(DATA[i])
        apart.add(DATA[i])


def test_a_batch_without_a_distance_is_as_before():
    free = np.array([True, False, True])
    for apart in (Apart(DATA[:3], None, DATA), Apart([(1, 2), (1, 2), (1, 2)], 0.9, [(1, 2)])):
        apart.add(apart.X[0])
        assert apart.among(free).tolist() == [0, 2]


def test_a_search_for_molecules_keeps_them_apart():
    pool = search_options(SelfiesVAE.pretrained())["acquisition"].search.search
    assert pool.apart is not None
    batches = {}
    for least in (None, 0.8):
        search = CandidatePool(80, generations=1, sources=["mutate", "cross"], apart=least)
        opt = quick(DATA, VALUES, acquisition=LogExpectedImprovement(search=search))
        B = opt.ask(4)
        batches[least] = max(likeness(x, B[:i])[0] for i, x in enumerate(B) if i)
    assert batches[0.8] <= 0.2 < batches[None]
