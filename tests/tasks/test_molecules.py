"""Molecule tasks: scores as published, for any text, whatever the spelling; starting data; novelty."""

import json
import math
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

pytest.importorskip("rdkit")
pytest.importorskip("networkx")
import networkx
from rdkit import Chem
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.DataStructs import TanimotoSimilarity

from wrlso import FeatureGP
from wrlso._chemistry.scores import logp, qed, synthetic_accessibility
from wrlso._chemistry.smiles import parse
from wrlso.benchmarks.molecules import objectives as benchmark
from wrlso.datasets import molecules as datasets
from wrlso.datasets.molecule_table import write_molecule_table
from wrlso.exceptions import DataError, ParameterError, ParameterTypeError
from wrlso.surrogate import TanimotoGP
from wrlso.tasks.molecules import GUACAMOL_OBJECTIVES, QED, GuacaMol, Molecules, PenalizedLogP, properties
from wrlso.tasks.molecules import tasks as molecules
from wrlso.tasks.molecules.pharmacophores import pharmacophores, similarity
from wrlso.tasks.molecules.scores import excess_cycle, penalized_logp

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "guacamol.json").read_text())
REFERENCE = Path(os.environ.get("WRLSO_DATA") or Path(__file__).parents[3] / "shared" / "data")
START = ["OCC", "CCO", "CCCCCC", "c1ccccc1O", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
FUSED = [
    "C1CC2CCC1CC2",
    "c1ccc2c(c1)ccc1c2ccc2ccccc21",
    "C12C3C4C1C5C2C3C45",
    "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",
    "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C",
    "C1CC2(C1)CCCC1CCC2CC1",
    "C1CCCCCCC2CCCCCCCC2C1",
]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "cache"))


# ------------------------------------------------------------------------------------------ penalised logP


@pytest.mark.parametrize(("n", "published"), [(20, 6.45), (38, 11.2), (70, 19.06), (100, 26.1), (200, 48.9)])
def test_penalised_logp_of_chains_is_the_known_one(n, published):
    digits = len(str(published).partition(".")[2])
    assert round(PenalizedLogP().objective("C" * n), digits) == published


@pytest.mark.parametrize(
    ("smiles", "published"),
    [
        ("COc1ccc(-c2cc(-c3ccccc3)cc(-c3ccc(Br)cc3)[o+]2)cc1", 4.52),
        ("COc1ccc(-c2cc(-c3ccccc3)cc(-c3ccc(I)cc3)[o+]2)cc1", 4.30),
        ("FC(F)(F)c1cccc(Nc2scc(-c3ccc(Cl)cc3)[n+]2CCc2ccccc2)c1", 4.23),
    ],
)
def test_the_best_of_zinc_score_as_published(smiles, published):
    """The three best of ZINC250k, with scores as in table 1 of You et al. (GCPN, NeurIPS 2018)."""
    assert round(PenalizedLogP().objective(smiles), 2) == published


@pytest.mark.parametrize("smiles", [*FUSED, *START, "S" * 12])
def test_penalised_logp_is_the_printed_formula(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    expected = (
        (logp(molecule) - 2.45777691) / 1.43341767
        + (-synthetic_accessibility(molecule) + 3.05352042) / 0.83460587
        + (-excess_cycle(molecule) + 0.04861121) / 0.28746695
    )
    assert penalized_logp(molecule) == pytest.approx(expected, abs=1e-12)


def test_scores_are_clipped_as_asked():
    ring = "C1" + "C" * 20 + "C1"
    assert PenalizedLogP(clip=None).objective(ring) < -40
    assert PenalizedLogP().objective(ring) == -6.0
    assert PenalizedLogP(clip=-4).objective(ring) == -4.0
    assert PenalizedLogP(clip=-4).objective("C" * 20) == PenalizedLogP(clip=None).objective("C" * 20)


def test_what_is_larger_than_the_cap_is_infeasible():
    task = PenalizedLogP(max_heavy_atoms=38)
    assert math.isfinite(task.objective("C" * 38))
    assert task.feasible("C" * 38)
    assert math.isnan(task.objective("C" * 39))
    assert not task.feasible("C" * 39)
    assert not task.feasible("C(C")
    assert QED(2).feasible("[2H]C([H])O")


@pytest.mark.parametrize("ring", range(3, 15))
def test_the_excess_of_a_ring_is_its_size_less_six(ring):
    assert excess_cycle(Chem.MolFromSmiles("C1" + "C" * (ring - 2) + "C1")) == max(0, ring - 6)


def first_root_excess(smiles):
    """As the released code does with the networkx of its time: an adjacency matrix, from the first atom."""
    molecule = Chem.MolFromSmiles(smiles)
    graph = networkx.Graph(Chem.GetAdjacencyMatrix(molecule))
    return max(0, max(map(len, networkx.cycle_basis(graph, 0)), default=0) - 6)


@pytest.mark.parametrize("smiles", FUSED)
def test_fused_rings_count_as_in_networkx_on_the_canonical_spelling(smiles):
    assert excess_cycle(Chem.MolFromSmiles(smiles)) == first_root_excess(Chem.CanonSmiles(smiles))


def test_rings_of_fragments_are_all_looked_at():
    large, small = "C1CCCCCCC2CCCCCCCC2C1", "C1CC2CCC1CC2"
    expected = excess_cycle(Chem.MolFromSmiles(large))
    assert expected > 0
    for smiles in (f"{large}.{small}", f"{small}.{large}.C", f"C.{large}"):
        assert excess_cycle(Chem.MolFromSmiles(smiles)) == expected
    assert excess_cycle(Chem.MolFromSmiles("CC.C1CCCCCCC1.O")) == 2


def test_rings_through_dative_bonds_count():
    # RDKit's own list of rings leaves them out
    smiles = "C1CCN2CCCCCO->[Cu]<-2O1"
    molecule = parse(smiles)
    if molecule.GetRingInfo().NumRings() == 2:
        pytest.skip("this RDKit lists rings through dative bonds")
    assert excess_cycle(molecule) == first_root_excess(Chem.CanonSmiles(smiles)) > 0


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([*FUSED, *GOLDEN["molecules"][:25]]), st.integers(0, 10**6), st.data())
def test_scores_do_not_depend_on_the_spelling(smiles, seed, data):
    (spelling,) = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)
    goal = data.draw(st.sampled_from(GUACAMOL_OBJECTIVES))
    for task in (PenalizedLogP(clip=None), QED(), GuacaMol(goal)):
        assert task.objective(spelling) == pytest.approx(task.objective(smiles), abs=1e-9)


# ------------------------------------------------------------------------------------------ GuacaMol


@pytest.mark.parametrize("goal", GUACAMOL_OBJECTIVES)
def test_scores_are_those_of_the_package_guacamol(goal):
    values = GuacaMol(goal).objectives(GOLDEN["molecules"])
    np.testing.assert_allclose(values, GOLDEN["values"][goal], rtol=0, atol=1e-6)
    assert np.ptp(GOLDEN["values"][goal]) > 0


def test_the_golden_values_are_of_the_benchmarks_molecules():
    assert tuple(GOLDEN["molecules"]) == benchmark.ODD_MOLECULES
    assert tuple(GOLDEN["values"]) == GUACAMOL_OBJECTIVES
    assert len(GUACAMOL_OBJECTIVES) == 20
    assert list(GUACAMOL_OBJECTIVES) == sorted(GUACAMOL_OBJECTIVES)


@pytest.mark.parametrize("goal", GUACAMOL_OBJECTIVES)
def test_an_optimum_is_stated_where_a_molecule_reaches_it(goal):
    task = GuacaMol(goal)
    isomers = ["CC(=O)N(O)c1cccnc1", "C=CNc1nc(Cl)ccc1C(F)(F)P(C)(=O)O"]
    best = max(task.objectives([*GOLDEN["molecules"], *isomers]))
    assert best <= 1
    assert task.optimum == (1.0 if best == 1 else None)


def test_names_and_goals():
    assert GuacaMol("perindopril_mpo").name == "perindopril-mpo"
    assert (PenalizedLogP().name, QED().name, Molecules(len).name) == ("penalized-logp", "qed", "molecules")
    assert PenalizedLogP().optimum is None
    np.testing.assert_array_equal(
        GuacaMol("qed").objectives(GOLDEN["molecules"]), QED().objectives(GOLDEN["molecules"])
    )
    with pytest.raises(ParameterError, match="goal must be one of 'albuterol_similarity', .*, got 'logp'"):
        GuacaMol("logp").objective("C")


@pytest.mark.parametrize("smiles", [*GOLDEN["molecules"], "O", "CO", "CCO.CCN", "NC(=O)" * 8 + "C"])
def test_pharmacophores_are_rdkits(smiles):
    molecule, other = Chem.MolFromSmiles(smiles), Chem.MolFromSmiles(GOLDEN["molecules"][18])
    theirs = Generate.Gen2DFingerprint(molecule, Gobbi_Pharm2D.factory)
    reference = Generate.Gen2DFingerprint(other, Gobbi_Pharm2D.factory)
    ours = pharmacophores(molecule)
    assert len(ours) == theirs.GetNumOnBits()
    assert len(np.unique(ours)) == len(ours)
    assert similarity(ours, pharmacophores(other)) == pytest.approx(
        TanimotoSimilarity(theirs, reference), abs=1e-12
    )
    features = Gobbi_Pharm2D.factory.featFactory.GetFeaturesForMol(molecule)
    assert all(len(feature.GetAtomIds()) == 1 for feature in features)


def test_sets_without_elements_are_alike():
    nothing, something = np.empty(0, dtype=np.int64), np.array([1, 2])
    assert similarity(nothing, nothing) == 1.0
    assert similarity(nothing, something) == 0.0


# ------------------------------------------------------------------------------------------ any text

TASKS = [PenalizedLogP(), QED(), *map(GuacaMol, GUACAMOL_OBJECTIVES), Molecules(len)]


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=20) | st.text(alphabet="CNOSFc1()=#[]+-.@H", min_size=5, max_size=40))
def test_any_text_has_a_score_or_nan(text):
    valid = parse(text) is not None
    for task in TASKS:
        value = task.objective(text)
        assert isinstance(value, float)
        assert math.isfinite(value) if valid else math.isnan(value)
        assert task.feasible(text) is valid


@pytest.mark.parametrize("x", [None, 3, "", "C(C", "*", "C" * 1001, "CCO ethanol", b"CCO", ["C"], "\0"])
def test_what_is_no_molecule_scores_nan(x):
    for task in TASKS:
        assert math.isnan(task.objective(x))
        assert not task.feasible(x)
    assert properties(x) is None


def n_calls(function, *arguments):
    """Return what a function returns, and how many others it calls on the way; RDKit's own do not count."""
    n = 0

    def count(frame, event, argument):
        nonlocal n
        n += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return function(*arguments), n
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize(("unit", "n"), [("C", 150), ("C1CC1", 30), ("C(F)(F)", 20)])
def test_scores_end_soon_for_large_molecules(unit, n):
    for task in TASKS:
        task.objective("CCO")  # loads what is needed
        _, half = n_calls(task.objective, unit * n)
        value, whole = n_calls(task.objective, unit * 2 * n)
        assert math.isfinite(value)
        # linear in the number of atoms; RDKit's own enumeration of pharmacophores makes 9 times as many
        assert whole < 3 * half


def test_nothing_is_logged(capfd):
    for task in TASKS:
        task.objective("C(C")
    assert capfd.readouterr().err == ""


def test_properties_agree_with_the_scores():
    found = properties("CC(=O)Oc1ccccc1C(=O)O")
    assert found["penalized_logp"] == PenalizedLogP(clip=None).objective("CC(=O)Oc1ccccc1C(=O)O")
    assert found["qed"] == qed(parse("CC(=O)Oc1ccccc1C(=O)O"))
    assert found["heavy_atoms"] == 13
    assert found["weight"] == pytest.approx(180.159)


# ------------------------------------------------------------------------------------------ tasks


def test_initial_data_are_distinct_molecules_and_their_scores():
    task = PenalizedLogP(data=START)
    X, y = task.initial_data()
    assert X == ["CCO", "CCCCCC", "Oc1ccccc1", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
    np.testing.assert_allclose(y, task.objectives(START[1:]), rtol=1e-12)
    X, _ = PenalizedLogP(data=START, stereo=False).initial_data()
    assert X == ["CCO", "CCCCCC", "Oc1ccccc1", "CC(N)C(=O)O"]
    X, _ = PenalizedLogP(3, data=START).initial_data()
    assert X == ["CCO"]


def test_a_part_of_the_data_is_drawn():
    task = QED(data=START, n_start=3)
    X, y = task.initial_data(0)
    assert (X, y.tolist()) == (task.initial_data(0)[0], task.initial_data(0)[1].tolist())
    assert len(set(X)) == 3
    assert any(task.initial_data(seed)[0] != X for seed in range(1, 6))
    with pytest.raises(ParameterError, match="n_start must be at most 5, the number of molecules, got 6"):
        QED(data=START, n_start=6).initial_data()


def test_novel_is_what_the_data_do_not_hold():
    task = QED(5, data=START, n_start=1)
    assert not task.is_novel_and_valid("C(O)C")  # another spelling, and perhaps not drawn
    assert task.is_novel_and_valid("CCN")
    assert not task.is_novel_and_valid("C(C")
    assert not task.is_novel_and_valid("CCCCCCN")  # too large
    assert not QED(data=START).is_novel_and_valid("N[C@@H](C)C(=O)O")
    assert QED(data=START).is_novel_and_valid("CC(N)C(=O)O")
    assert not QED(data=START, stereo=False).is_novel_and_valid("CC(N)C(=O)O")


def test_ones_own_function_sees_one_spelling_of_molecules_only():
    seen = []
    task = Molecules(lambda smiles: seen.append(smiles), data=START, n_start=None, max_heavy_atoms=6)
    X, y = task.initial_data()
    assert np.isnan(y).all()
    assert seen == X == ["CCO", "CCCCCC", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
    for x in ("C(O)C", "C(C", "CCCCCCC"):
        task.objective(x)
    assert seen[4:] == ["CCO"]
    flat = Molecules(len, stereo=False)
    assert flat.objective("C[C@H](N)C(=O)O") == len("CC(N)C(=O)O")
    with pytest.raises(ParameterTypeError, match="function must be callable with a SMILES, got 'qed'"):
        Molecules("qed").objective("C")


def test_shipped_molecules_are_a_choice(monkeypatch, tmp_path):
    path = tmp_path / "molecules.csv.xz"
    write_molecule_table(path, {"smiles": START, "qed": [0.5] * len(START)})
    monkeypatch.setattr(datasets, "_SHIPPED", path)
    molecules._named_pool.cache_clear()
    X, y = QED(data="shipped", n_jobs=1).initial_data()
    molecules._named_pool.cache_clear()
    assert X[:3] == ["CCO", "CCCCCC", "Oc1ccccc1"]
    np.testing.assert_array_equal(y, QED().objectives(X))


def test_zinc250k_is_the_data_unless_asked(monkeypatch):
    monkeypatch.setattr(molecules, "fetch_zinc250k", lambda: START)
    molecules._named_pool.cache_clear()
    X, _ = PenalizedLogP(n_jobs=1).initial_data()
    assert len(X) == 5
    assert not PenalizedLogP(n_jobs=1).is_novel_and_valid("OCC")
    molecules._named_pool.cache_clear()


def test_scores_of_many_molecules_are_kept(tmp_path, monkeypatch):
    QED(data=START).initial_data()
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(molecules, "_WORTH_KEEPING", 4)
    X, y = QED(data=START).initial_data()
    (kept,) = (tmp_path / "cache" / "scores").iterdir()
    assert kept.name.startswith("qed-")
    monkeypatch.setattr(molecules, "parse", None)  # no molecule is read again
    again, z = QED(data=START).initial_data()
    assert again == X
    np.testing.assert_array_equal(y, z)
    assert len(list((tmp_path / "cache" / "scores").iterdir())) == 1


def test_kept_scores_serve_all_caps_and_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(molecules, "_WORTH_KEEPING", 0)
    ring = "C1" + "C" * 20 + "C1"
    for options in ({}, {"clip": None}, {"clip": -4}, {"max_heavy_atoms": 22}):
        task = PenalizedLogP(data=[ring], **options)
        _, y = task.initial_data()
        assert y[0] == task.objective(ring)
    assert len(list((tmp_path / "cache" / "scores").iterdir())) == 1
    assert PenalizedLogP(21, data=[ring]).initial_data()[0] == []


def test_wrong_parameters_are_named():
    wrong = [
        (PenalizedLogP(0), "max_heavy_atoms must be an integer of at least 1"),
        (PenalizedLogP(clip=math.nan), "clip must be a finite number"),
        (QED(data="zinc", n_start=1), "data must be one of 'zinc250k', 'shipped', got 'zinc'"),
        (QED(data=START, n_start=0), "n_start must be an integer of at least 1"),
    ]
    for task, message in wrong:
        with pytest.raises(ParameterError, match=message):
            task.initial_data()
    with pytest.raises(DataError, match="data must hold SMILES of single molecules; row 1 is invalid SMILES"):
        QED(data=["C", "C("]).initial_data()


@pytest.mark.parametrize("task", [PenalizedLogP(38, data=START), QED(), GuacaMol("median1", stereo=False)])
def test_tasks_follow_scikit_learn(task):
    twin = clone(task)
    assert twin.get_params() == task.get_params()
    assert pickle.loads(pickle.dumps(task)).objective("CCO") == twin.objective("CCO")
    assert str(next(iter(task.get_params()))) in repr(twin.set_params(n_start=7)) or twin.n_start == 7


def test_the_model_is_the_shipped_one_with_the_tasks_identity(monkeypatch):
    given = []
    model = SimpleNamespace(pretrained=lambda **options: given.append(options))
    monkeypatch.setattr("wrlso.tasks.molecules.tasks.SelfiesVAE", model)
    QED().model(0)
    QED(stereo=False).model(max_tokens=50)
    assert given == [{"stereo": True}, {"stereo": False, "max_tokens": 50}]


def test_the_surrogate_is_one_of_structures():
    surrogate = PenalizedLogP().surrogate()
    assert isinstance(surrogate, TanimotoGP)
    assert not isinstance(surrogate, FeatureGP)


# ------------------------------------------------------------------------------------------ the comparison


def test_the_comparison_finds_what_differs(tmp_path, monkeypatch, capsys):
    peers = {
        "median1": lambda x: GuacaMol("median1").objective(x),
        "qed": lambda x: GuacaMol("qed").objective(x) + 0.25 * (x == "CCO"),
    }
    found = benchmark.compare(["C", "CCO", "CCN"], peers)
    assert found["median1"]["largest_difference"] == 0
    assert found["qed"]["largest_difference"] == pytest.approx(0.25)
    assert found["qed"]["there"] == "CCO"
    with pytest.raises(ParameterError, match="X must hold at least one molecule"):
        benchmark.compare([], peers)
    monkeypatch.setattr(benchmark, "peer_scores", lambda folder: peers)
    monkeypatch.setattr(benchmark, "fetch_zinc250k", lambda: START)
    (tmp_path / "guacamol-0.5.5.dist-info").mkdir()
    out, golden = tmp_path / "record.json", tmp_path / "golden.json"
    arguments = ["--guacamol", str(tmp_path), "--n", "3"]
    record = benchmark.main([*arguments, "--out", str(out), "--golden", str(golden)])
    assert record["versions"]["guacamol"] == "0.5.5"
    assert record["zinc"]["median1"]["largest_difference"] == 0
    assert json.loads(out.read_text())["n_zinc"] == 3
    assert json.loads(golden.read_text())["molecules"] == list(benchmark.ODD_MOLECULES)
    benchmark.main(arguments)
    assert json.loads(capsys.readouterr().out)["kind"] == "objectives"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Median molecules 2", "median2"),
        ("C9H10N2O2PF2Cl", "isomers_c9h10n2o2pf2cl"),
        ("Celecoxib rediscovery", "celecoxib_rediscovery"),
        ("Valsartan SMARTS", "valsartan_smarts"),
        ("Deco Hop", "deco_hop"),
        ("QED", "qed"),
    ],
)
def test_names_of_the_package_become_ours(theirs, ours):
    assert benchmark._our_name(theirs) == ours
    assert ours in GUACAMOL_OBJECTIVES


def test_a_missing_package_is_named(tmp_path):
    with pytest.raises(ParameterError, match="the package guacamol is not in .*pip install --no-deps"):
        benchmark.peer_scores(tmp_path)


def test_the_record_says_that_all_scores_agree():
    path = Path(__file__).parents[2] / "docs" / "benchmarks" / "objectives" / "record.json"
    record = json.loads(path.read_text())
    assert record["n_zinc"] >= 1000
    for part in ("zinc", "odd"):
        assert sorted(record[part]) == list(GUACAMOL_OBJECTIVES)
        assert max(row["largest_difference"] for row in record[part].values()) < 1e-6
