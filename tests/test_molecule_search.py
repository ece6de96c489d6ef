"""Searching molecules in one call and from the shell; a vocabulary that grows with the data."""

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("rdkit")
pytest.importorskip("selfies")

from wrlso import (
    BrokenRulesWarning,
    CandidatePool,
    DataError,
    DataTypeError,
    MergedIsomersWarning,
    ModelError,
    ParameterError,
    TanimotoGP,
    Trainer,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
    campaign,
)
from wrlso._chemistry import smiles
from wrlso._chemistry.familiar import Familiar, n_alerts
from wrlso._chemistry.selfies_tokens import read_smiles
from wrlso.acquisition.size_range import heavy_atoms, sizes_about
from wrlso.benchmarks.molecules.demo import run_molecules_demo
from wrlso.campaign.new_optimizer import new_optimizer
from wrlso.campaign.rule_options import read_rules
from wrlso.models import JunctionTreeVAE, SelfiesVAE, coordinate_vae
from wrlso.molecules import molecule_search, search_options
from wrlso.rules import explain
from wrlso.rules.book import words_of
from wrlso.rules.checks import likeness

KNOWN = ["CCO", "CCN", "CCCO", "CCCCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CCOCC", "CCCCN"]
Y = [float(len(x)) for x in KNOWN]
DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC(=O)Nc1ccc(O)cc1",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
    "COc1ccc2cc(C(C)C(=O)O)ccc2c1",
    "Clc1ccccc1CNc1ncccn1",
    "O=C(NCc1ccccc1)c1ccncc1",
    "CCOC(=O)c1ccc(N)cc1",
]
ODD = ["CB(O)c1ccccc1", "C[Si](C)(C)CO"]


def same_weights(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def grown():
    """A search whose data have tokens that the model did not know."""
    model = SelfiesVAE.pretrained()
    assert model.missing_tokens(ODD) == ["[B]", "[Si]"]
    model.extend(ODD)
    return molecule_search([*KNOWN, *ODD], [*Y, 3.0, 4.0], model=model, random_state=0)


def test_one_call_starts_a_search():
    opt = molecule_search(KNOWN, Y, direction="minimize", random_state=1, trainer=Trainer(initial_epochs=0))
    batch = opt.ask(2)
    assert len({opt.model_.key(x) for x in [*batch, *KNOWN]}) == len(KNOWN) + 2
    opt.tell(batch, [1.0, None])
    assert (opt.direction, opt.best_y_) == ("minimize", 1.0)
    assert isinstance(opt.surrogate, TanimotoGP)
    with pytest.raises(DataError, match="2 fragments"):
        molecule_search(["CCO", "[Na+].CC(=O)[O-]"])


@pytest.mark.parametrize(("n", "first", "later"), [(8, 20, 5), (1000, 19.2, 5), (128_000, 0.15, 0.05)])
def test_training_takes_as_many_steps_for_many_molecules(n, first, later):
    trainer = search_options(SelfiesVAE.pretrained())["trainer"]
    assert trainer._length(n, first=True) == (pytest.approx(first), 150)
    assert trainer._length(n, first=False) == (pytest.approx(later), 50)


def plausibility_of(opt_or_options):
    return opt_or_options["acquisition"].search.search.plausibility


def test_proposals_are_plausible_unless_any_molecule_is_wanted():
    for model in (SelfiesVAE.pretrained(), JunctionTreeVAE(["CC", "CO"])):
        assert plausibility_of(search_options(model)) == 0.1
        assert plausibility_of(search_options(model, plausibility=None)) is None
        for given, expected in ({}, 0.1), ({"plausibility": None}, None), ({"plausibility": 0.3}, 0.3):
            opt = new_optimizer(model, 10, {}, dict(given))
            assert plausibility_of(opt.get_params()) == expected
    assert search_options(SelfiesVAE.pretrained(), generate=False)["acquisition"].search is None


@pytest.mark.parametrize("told", range(9))
def test_first_batches_are_molecules_like_the_data(told):
    """Before and after the first process: sizes, oddities, alerts, and a distance within the batch."""
    y = [y if i < told else None for i, y in enumerate(Y)]
    opt = molecule_search(DRUGS, y, random_state=told, trainer=Trainer(initial_epochs=0))
    batch = opt.ask(5)
    made = [x for x in batch if x not in DRUGS]
    familiar, sizes = Familiar(DRUGS), [heavy_atoms(x) for x in (DRUGS[:told] if told >= 5 else DRUGS)]
    fewest, most = sizes_about(sizes, 1.3)
    for x in made:
        assert fewest <= heavy_atoms(x) <= most
        assert familiar.odd_surroundings(x) + familiar.odd_rings(x) == 0
        assert n_alerts(x) <= 1
    near = [likeness(x, [other for other in batch if other != x])[0] for x in made]
    assert all(each <= 0.6 + 1e-9 for each in near)


def test_salts_are_taken_as_the_message_says():
    X = ["CCO", "[Na+].CC(=O)[O-]"]
    with pytest.raises(DataError, match="salts='largest' would take the largest"):
        molecule_search(X)
    opt = molecule_search(X, [1.0, 2.0], salts="largest", trainer=Trainer(initial_epochs=0))
    assert opt.model_.key(opt.best_x_) == "CC(=O)[O-]"
    with pytest.raises(ParameterError, match="salts must be"):
        molecule_search(X, salts="all")
    with pytest.raises(ParameterError, match="plausibility must be 'auto', None or a share from 0 to 1"):
        molecule_search(KNOWN, Y, plausibility="high")
    with pytest.raises(DataTypeError, match="None or NaN for an x that was not measured, got 'a'"):
        molecule_search(KNOWN, ["a", *Y[1:]])


def test_a_users_acquisition_searches_as_the_default_one_does():
    quick = {"trainer": Trainer(initial_epochs=0), "random_state": 0}
    mine = UpperConfidenceBound()
    opt = molecule_search(KNOWN, Y, acquisition=mine, plausibility=0.3, **quick)
    assert mine.search is None
    assert opt.acquisition.search.search.plausibility == 0.3
    own = UpperConfidenceBound(search=CandidatePool(50))
    assert molecule_search(KNOWN, Y, acquisition=own, **quick).acquisition is own
    with pytest.raises(ParameterError, match="plausibility must be None or 'auto' with an acquisition"):
        molecule_search(KNOWN, Y, acquisition=own, plausibility=0.3)


def test_other_models_keep_the_optimizers_defaults():
    assert search_options(coordinate_vae()) == {}


def test_a_given_model_stays_as_it_was(grown):
    model = SelfiesVAE.pretrained()
    opt = molecule_search(ODD, [1.0, 2.0], model=model, trainer=Trainer(initial_epochs=0))
    assert "[B]" in opt.model_.vocabulary
    assert "[B]" not in model.vocabulary
    assert grown.model_.vocabulary[-2:] == ["[B]", "[Si]"]


def test_a_campaign_with_a_grown_vocabulary_goes_on(grown, tmp_path):
    grown.save(tmp_path / "camp")
    loaded = WeightedRetrainingOptimizer.load(tmp_path / "camp", model=SelfiesVAE.pretrained())
    assert loaded.model_.vocabulary == grown.model_.vocabulary
    assert same_weights(loaded.model_, grown.model_)
    loaded.tell("CCB(O)O", 2.0)
    assert loaded.X_[-1] == "CCB(O)O"
    with pytest.raises(ModelError, match="this is another model than the campaign's"):
        WeightedRetrainingOptimizer.load(tmp_path / "camp", model=coordinate_vae())


def test_the_cycle_in_the_shell(tmp_path):
    data = tmp_path / "assay.csv"
    rows = [f"{x},{y}" for x, y in zip(KNOWN, Y, strict=True)] + [f"{ODD[0]},", f"{ODD[1]},failed"]
    data.write_text("\n".join(["SMILES,pIC50", *rows]) + "\n")
    camp = tmp_path / "camp"
    lines = campaign.init(camp, data, model="selfies", training={"initial_epochs": 1}, random_state=0)
    assert lines[2] == "2 tokens new to the model, which it learns from these data: [B] [Si]"
    assert "10 points, 8 with a value, 1 failed" in lines[3]
    opt = campaign.open_campaign(camp)
    assert isinstance(opt.surrogate, TanimotoGP)
    assert (opt.trainer.initial_epochs, opt.trainer.initial_steps) == (1, None)  # what was chosen
    assert opt.trainer.retrain_steps == 50
    assert opt.trainer.batch_size == 128  # what was not chosen is the model's
    campaign.ask(opt, camp, 2, out=tmp_path / "batch.csv")
    batch = tmp_path / "batch.csv"
    batch.write_text(
        "\n".join(line + "9.5" * (i > 0) for i, line in enumerate(batch.read_text().splitlines()))
    )
    with campaign.recording(camp) as again:
        assert "2 new values" in campaign.tell(again, camp, batch)[0]
    campaign.report(campaign.open_campaign(camp), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count('<img class="drawing"') >= 2


LEFT, RIGHT, FLAT = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O"
QUICK = {"random_state": 0, "trainer": Trainer(initial_epochs=0, retrain_epochs=0)}


def test_isomers_that_a_model_takes_for_one_are_named_once_a_call():
    model = JunctionTreeVAE.pretrained()
    with pytest.warns(MergedIsomersWarning) as caught:
        opt = molecule_search(
            ["CCO", LEFT, RIGHT, "F/C=C/F", r"F/C=C\F"], [1, 8, 4, 1, None], model=model, **QUICK
        )
    assert len(caught) == 1
    message = str(caught[0].message)
    assert f"row 1 ({LEFT!r}), row 2 ({RIGHT!r}) are {FLAT}; row 3" in message
    assert "are FC=CF" in message
    assert "SelfiesVAE" in message
    with pytest.warns(MergedIsomersWarning, match=r"row 1 \(.*\), point 1 \(.*\) are "):
        opt.tell(["CCN", RIGHT], [1.0, 5.0])
    opt.tell([LEFT, "CCO", "OCC"], [7.0, 1.0, 2.0])  # as told first: a warning would be an error
    assert opt.history_.records[1].values == [8, 4, 5, 7]


def test_a_warning_of_isomers_that_is_an_error_changes_nothing():
    opt = molecule_search(["CCO", LEFT], [1, 8], model=JunctionTreeVAE.pretrained(), **QUICK)
    with pytest.raises(MergedIsomersWarning):
        opt.tell(["CCC", RIGHT], [3.0, 4.0])
    assert (len(opt.history_), opt.history_.n_observed) == (2, 2)


def test_a_model_with_stereochemistry_keeps_isomers_apart():
    opt = molecule_search(["CCO", LEFT, RIGHT], [1, 8, 4], **QUICK)
    assert len(opt.history_) == 3


def test_the_shell_shows_the_flat_molecule_beside_the_mean_of_isomers(tmp_path):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text(f"SMILES,pIC50\n{LEFT},8.1\n{RIGHT},4.1\nC[C@H](F)O,1\n")
    with pytest.warns(MergedIsomersWarning):
        lines = campaign.init(camp, data, model="junction-tree", **QUICK)
    best = f"best so far: 6.1, mean of 2 (id 0): {FLAT} (its isomers are one for this model)"
    assert best in lines
    assert best in campaign.status(camp)
    table = campaign.export(camp)
    assert f"\n0,{FLAT},6.1," in table
    assert "\n1,C[C@H](F)O,1," in table
    out = tmp_path / "all.csv"
    out.write_text(table)
    with campaign.recording(camp) as opt:
        assert "0 new values" in campaign.tell(opt, camp, out)[0]


def test_names_and_extensions_behind_smiles_are_left_out_of_tables(tmp_path):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text("SMILES,pIC50\nCCO ethanol,1\nC[C@H](O)F |&1:1|,2\nCCN,3\n")
    lines = campaign.init(camp, data, model="selfies", **QUICK)
    assert "1 SMILES in 'SMILES' had a name behind it, left out: 'ethanol'" in lines
    assert any("extension (CXSMILES" in line and "'|&1:1|'" in line for line in lines)
    data.write_text("SMILES,pIC50\nCCO alcohol,1\nCCC propane,4\n")
    with campaign.recording(camp) as opt:
        assert [record.x for record in opt.history_] == ["CCO", "C[C@H](O)F", "CCN"]
        lines = campaign.tell(opt, camp, data)
        assert "assay.csv: 1 new value, 1 known already" in lines
        with pytest.raises(DataError, match=r"has a name behind the SMILES; pass x.split\(\)\[0\]"):
            opt.tell("CCCC butane", 3.0)


@pytest.mark.parametrize("model", ["selfies", "junction-tree"])
def test_salts_are_taken_as_the_campaign_was_started(tmp_path, model):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text("SMILES,pIC50\nCCO,1\n[Na+].CC(=O)[O-],2\nCCCC,3\n")
    with pytest.raises(DataError, match="1 row of 3 cannot be used"):
        campaign.init(camp, data, model=model, salts="refuse", **QUICK)
    lines = campaign.init(camp, data, model=model, **QUICK)
    assert (
        "1 row of salts or mixtures: the largest fragment counts (--salts refuse says otherwise); left out "
        "[Na+] (1 row: 3)"
    ) in lines
    data.write_text("SMILES,pIC50\nCC(=O)[O-],2\nCCCN.Cl,4\n")
    with campaign.recording(camp) as opt:
        assert "assay.csv: 1 new value, 1 known already" in campaign.tell(opt, camp, data)
        assert opt.model_.key("CCCN") == opt.model_.key(opt.history_.records[3].x)


def test_a_campaign_can_begin_to_take_salts(tmp_path):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text("SMILES,pIC50\nCCO,1\nCCCC,3\n")
    campaign.init(camp, data, model="selfies", salts="refuse", **QUICK)
    data.write_text("SMILES,pIC50\nCCCN.Cl,4\n")
    with campaign.recording(camp) as opt, pytest.raises(DataError):
        campaign.tell(opt, camp, data)
    with campaign.recording(camp, salts="largest") as opt:
        assert "assay.csv: 1 new value" in campaign.tell(opt, camp, data)
    with campaign.recording(camp) as opt:
        assert "assay.csv: 0 new values, 1 known already" in campaign.tell(opt, camp, data)
    with pytest.raises(ParameterError, match="--salts is for models of molecules, got GrammarVAE"):
        campaign.init(tmp_path / "other", data, model="expressions", salts="largest")


@pytest.mark.parametrize("model", ["selfies", "junction-tree"])
def test_charges_are_taken_away_where_that_is_wanted(tmp_path, model):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text("SMILES,pIC50\nCCO,1\n[Na+].CC(=O)[O-],2\nCCCC[NH3+],3\nCCCC,4\nCCCO,5\n")
    campaign.init(camp, data, model=model, salts="neutral", **QUICK)
    with campaign.recording(camp) as opt:
        assert [record.key for record in opt.history_][1:3] == ["CC(=O)O", "CCCCN"]
        batch = opt.ask(4)
        assert [opt.model_.key(x) for x in batch] == batch
        made = opt.model_.mutate(["CC(=O)[O-].[Na+]", "C[NH2+]CC(=O)[O-]"] * 20)
        assert {opt.model_.key(x) for x in made if x} == {x for x in made if x}


def test_rules_of_a_campaign_in_the_shell(tmp_path):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text("SMILES,pIC50\n" + "".join(f"{x},{y}\n" for x, y in zip(KNOWN, Y, strict=True)))
    rules = read_rules(["no-alerts", "heavy-atoms=..9"], max_sa=5)
    with pytest.warns(BrokenRulesWarning, match="heavy atoms 1"):
        campaign.init(camp, data, model="selfies", rules=rules, **QUICK)
    assert "rules: no-alerts; heavy atoms at most 9; SA at most 5" in campaign.status(camp)
    with campaign.recording(camp) as opt:
        table, _ = campaign.ask(opt, camp, 3)
        proposed = [line.split(",")[1] for line in table.splitlines()[1:]]
        assert all(not explain(x, rules) for x in proposed)


def test_a_users_own_test_beside_rules_in_the_shell(tmp_path, monkeypatch):
    (tmp_path / "my_tests.py").write_text("def few(x):\n    return len(x) < 12\n")
    monkeypatch.chdir(tmp_path)
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    data.write_text("SMILES,pIC50\n" + "".join(f"{x},{y}\n" for x, y in zip(KNOWN, Y, strict=True)))
    rules = read_rules(["charge=0"])
    campaign.init(camp, data, model="selfies", rules=rules, feasible="my_tests:few", **QUICK)
    assert any(line.startswith("rules: charge 0; a test of your own (") for line in campaign.status(camp))
    with pytest.raises(ParameterError, match="pass it again with --feasible"):
        campaign.open_campaign(camp)
    opt = campaign.open_campaign(camp, feasible="my_tests:few")
    assert words_of(opt.feasible) == "charge 0; a test of your own (few)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": ["druglike"]}, "feasible must be among"),
        ({"rules": ["size=3"]}, "NAME=VALUE must have one of the names weight, heavy_atoms"),
        ({"rules": ["logp=low"]}, "'logp=low' must end in a number, or a range such as 1..4"),
        ({"near": "CCO much"}, "must end in a number"),
        ({"max_sa": 0}, "max_sa must be"),
        ({"keep": "x"}, "keep must be the SMILES"),
    ],
)
def test_options_that_are_no_rules(options, message):
    with pytest.raises(ParameterError, match=message):
        read_rules(**options)


def test_options_are_rules():
    assert read_rules() == []
    names, filters = read_rules(
        ["drug-like", "logp=1..4", "tpsa=..90", "weight=200..", "alerts=NIH, PAINS", "no=[N,O]S", "no=OO"],
        near="CCO",
    )
    assert names == "drug-like"
    wanted = {
        "logp": (1, 4), "tpsa": (None, 90), "weight": (200, None), "alerts": ["NIH", "PAINS"],
        "no": ["[N,O]S", "OO"], "near": ("CCO", 0.4),
    }  # fmt: skip
    assert {name: value for name, value in filters.get_params().items() if value not in (None, ())} == wanted


def test_all_that_is_wrong_with_a_row_is_named_at_once(tmp_path):
    data, camp = tmp_path / "assay.csv", tmp_path / "camp"
    good, bad = "SMILES,pIC50\nCCO,1\nCCCC,3\n", "id,SMILES,pIC50\n,c1cc,oops\n99,c1cc,~3\n,CCC,4\n,CCN,x\n"
    data.write_text(bad)
    with pytest.raises(DataError, match="3 rows of 4") as caught:
        campaign.init(camp, data, model="selfies", form=campaign.Form(y="pIC50"), **QUICK)
    assert all("not a number" in note or "is about a value" in note for note in caught.value.__notes__)
    assert ["c1cc" in note for note in caught.value.__notes__] == [True, True, False]
    data.write_text(good)
    campaign.init(camp, data, model="selfies", **QUICK)
    data.write_text(bad)
    with campaign.recording(camp) as opt, pytest.raises(DataError, match="3 rows of 4") as caught:
        campaign.tell(opt, camp, data)
    first, second, third = caught.value.__notes__
    assert "'oops' is not a number; the model cannot read 'c1cc'" in first
    assert "no point of this campaign has the id 99" in second
    assert "'~3' is about a value" in second
    assert "cannot read 'c1cc'" in second
    assert third == "row 5: 'x' is not a number"


ROUND = "O=C(C[C@]1(c2ccccc2)C2CC3CC1CC(C2)[C@@H]3O)NC"


def test_telling_what_rdkit_writes_makes_no_second_point(tmp_path):
    from rdkit import Chem

    opt = molecule_search(["CCO", ROUND], [1, 8], **QUICK)
    once = Chem.CanonSmiles(ROUND)
    opt.tell([once, Chem.CanonSmiles(once)], [4.0, 3.0])
    assert [record.x for record in opt.history_] == ["CCO", ROUND]
    assert opt.history_.records[1].values == [8, 4, 3]


def load_with_another_rdkit(opt, camp, monkeypatch):
    """Return the optimizer of a campaign that was made under a changed RDKit, loaded under the real one."""
    opt.save(camp)
    monkeypatch.undo()
    forget_spellings()
    return WeightedRetrainingOptimizer.load(camp, model=SelfiesVAE.pretrained())


def forget_spellings():
    for function in (smiles._standard, smiles._canonical, read_smiles):
        function.cache_clear()


def test_rows_that_become_one_molecule_are_kept_and_the_first_is_found(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(smiles, "_settled", lambda text, stereo: text)  # as keys were made formerly
    forget_spellings()
    once = smiles.canonical(ROUND)
    opt = molecule_search(["CCO", ROUND, "CCN", once], [1, 8, None, 2], **QUICK)
    assert len(opt.history_) == 4
    again = load_with_another_rdkit(opt, tmp_path / "camp", monkeypatch)
    assert "rows 1 and 3 are one point" in caplog.text
    assert again.history_.y.tolist() == [1, 8, 2]
    again.tell([once, ROUND], [3.0, 4.0])
    assert again.history_.records[1].values == [8, 3, 4]
    assert again.history_.records[3].values == [2]
    assert again.history_.n_observed == 3


def test_points_are_found_though_another_rdkit_wrote_other_smiles(tmp_path, monkeypatch, caplog):
    def written(molecule, stereo):
        from rdkit import Chem

        return Chem.MolToSmiles(molecule, rootedAtAtom=molecule.GetNumAtoms() - 1)

    monkeypatch.setattr(smiles, "_written", written)
    monkeypatch.setattr(smiles, "_settled", lambda text, stereo: text)
    monkeypatch.setattr("rdkit.__version__", "1999.01")
    forget_spellings()
    opt = molecule_search(["CCO", "NCCC", "CC(C)=O"], [1, 8, None], **QUICK)
    pending = opt.ask(2)
    old_keys = [record.key for record in opt.history_]
    with caplog.at_level("INFO", logger="wrlso"):
        again = load_with_another_rdkit(opt, tmp_path / "camp", monkeypatch)
    assert "began with RDKit 1999.01" in caplog.text
    assert [record.key for record in again.history_] != old_keys
    again.tell(old_keys, [float(row) for row in range(len(old_keys))])
    again.tell(pending, [5.0, 6.0])
    assert len(again.history_) == len(old_keys)
    assert all(float(row) in record.values for row, record in enumerate(again.history_))
    assert all(record.status == "observed" for record in again.history_)


def test_a_pending_point_that_became_a_measured_one_can_be_released(tmp_path, monkeypatch):
    monkeypatch.setattr(smiles, "_settled", lambda text, stereo: text)
    forget_spellings()
    opt = molecule_search(["CCO", ROUND], [1, 8], **QUICK)
    with opt._session.changing() as changes:
        (row,) = changes.add(opt.model_, [smiles.canonical(ROUND)])
        changes.note("ask", row, data=(None, None))
    again = load_with_another_rdkit(opt, tmp_path / "camp", monkeypatch)
    again.release(again.history_.records[row].x)
    assert [record.status for record in again.history_] == ["observed", "observed", "released"]


def test_rows_that_the_model_cannot_take_are_named_once(tmp_path):
    data = tmp_path / "assay.csv"
    data.write_text("SMILES,pIC50\nCCO,1\n[Na+].CC(=O)[O-],2\nc1cc,3\n" + "C" * 120 + ",4\n")
    with pytest.raises(DataError, match="3 rows of 4 cannot be used, so no campaign was made") as caught:
        campaign.init(tmp_path / "camp", data, model="selfies", salts="refuse")
    salt, broken, long = caught.value.__notes__
    assert salt.startswith("row 3: the model cannot read '[Na+].CC(=O)[O-]': has 2 fragments")
    assert broken.startswith("row 4: the model cannot read 'c1cc': is invalid SMILES")
    assert long.startswith("row 5: ")
    assert "takes 120 tokens, more than max_tokens=100 allows" in long
    assert not any("row 0" in note for note in caught.value.__notes__)
    assert not (tmp_path / "camp").exists()


def test_the_demo_draws_what_it_found(tmp_path):
    found = run_molecules_demo(tmp_path / "demo.png", seed=1, budget=4, n_start=15, progress=False)
    assert (found.queries, found.n_start, found.retrainings) == (4, 15, 0)
    assert 0 <= found.start <= found.best <= 1
    assert SelfiesVAE.pretrained().key(found.best_x) == found.best_x
    assert found.picture.stat().st_size > 10_000


@pytest.mark.parametrize("make", [lambda: None, lambda: JunctionTreeVAE(["CC", "CO", "C"], hidden=8)])
def test_the_models_copy_learns_to_read_the_data(make):
    model = make()
    opt = molecule_search(
        ["CCO", "C[Si](C)(C)C", "CC"], [1, 2, 3], model=model, trainer=Trainer(initial_epochs=0)
    )
    assert opt.best_x_ == "CC"
    assert not opt.model_.missing_tokens(["C[Si](C)(C)C"])
    assert model is None or model.missing_tokens(["C[Si](C)(C)C"])
    for wrong in (None, "CCO", (x for x in ["CCO"])):
        with pytest.raises(DataTypeError, match="X must be a sequence of SMILES"):
            molecule_search(wrong, [1.0])
    with pytest.raises(DataTypeError, match="y must be a sequence"):
        molecule_search(["CCO"], {0: 1.0})


def test_options_are_rules_for_the_data_of_each_ask_and_training():
    """A search that starts with 12 molecules and is told many is no other than one that starts with them."""
    steps = []

    class Quick(nn.Module):
        latent_dim = 2

        def __init__(self):
            super().__init__()
            self.m = nn.Parameter(torch.zeros(1))

        def loss(self, inputs):
            steps.append(len(inputs))
            return (self.m - inputs) ** 2

    options = search_options(SelfiesVAE.pretrained())
    assert options["acquisition"].search.search.parents == CandidatePool().parents  # of k N, for any N
    for n, most in ((12, 5), (500, 20), (2000, 50), (10_000, 50)):
        steps.clear()
        log = options["trainer"].fine_tune(Quick(), torch.zeros(n), np.ones(n), np.random.default_rng(0))
        assert log[-1]["n_steps"] == len(steps) == most
        steps.clear()
        options["trainer"].fit(Quick(), torch.zeros(n), np.ones(n), np.random.default_rng(0))
        assert len(steps) <= 150
