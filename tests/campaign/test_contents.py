"""Which files a campaign fits, by what its x are."""

import pytest
from test_campaign import FAST, OWN, START, score, write

from wrlso import ParameterError
from wrlso import campaign as work
from wrlso.campaign.contents import contents_of, file_endings
from wrlso.campaign.downloads import all_text, pending_text
from wrlso.campaign.reasons import nearest_known
from wrlso.history import Event, History
from wrlso.storage.info import view_campaign


def history_of(X):
    history = History()
    history.add(X, X, None)
    for row in range(len(X)):
        history.apply(Event("start", row, float(row), 0))
    return history


@pytest.mark.parametrize(
    ("model", "needs", "x", "contents", "endings"),
    [
        ("selfies", {}, "CCO", "molecules", (".csv", ".sdf")),
        ("own.safetensors", {}, "CCO", "molecules", (".csv", ".sdf")),
        ("dna", {}, "CCC", "sequences", (".csv", ".fasta")),
        ("expressions", {}, "x", "expressions", (".csv",)),
        ("mine:make", {}, "sin(x) + 1", "expressions", (".csv",)),
        ("", {"model": "wrlso.models.SequenceVAE"}, "CCC", "sequences", (".csv", ".fasta")),
        ("mine:make", {}, "CCO", "texts", (".csv", ".fasta", ".sdf")),
        ("mine:make", {}, (1, 2), "objects", ()),
    ],
)
def test_what_a_campaign_holds(model, needs, x, contents, endings):
    info, history = {"notes": {"model": model}, "needs": needs}, history_of([x])
    assert contents_of(info, history) == contents
    assert file_endings(info, history) == endings


@pytest.fixture(scope="module")
def formulas(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("formulas")
    rows = [["x + 1", 1], ["sin(x)", 2], ["x * x", 0.5], ["exp(x)", 3], ["x / 2", 4]]
    data = write(folder / "e.csv", ["x", "y"], rows)
    work.init(folder / "camp", data, model="expressions", training={"initial_epochs": 0})
    return folder / "camp"


def test_files_that_a_campaign_does_not_fit_are_refused_before_they_are_made(formulas, tmp_path):
    out = tmp_path / "out"
    for call, what in (
        (lambda: work.export(formulas, substructure="CC"), "SD files and substructures are for molecules"),
        (lambda: work.export(formulas, out=out.with_suffix(".sdf")), "SD files and substructures are"),
        (lambda: work.export(formulas, out=out.with_suffix(".fasta")), "FASTA is for sequences"),
        (lambda: pending_text(formulas, ".fasta"), "FASTA is for sequences"),
        (lambda: all_text(formulas, ".sdf"), "SD files and substructures are for molecules"),
    ):
        with pytest.raises(ParameterError, match=f"{what}.*campaign holds expressions: write CSV or JSON"):
            call()
    assert not list(tmp_path.iterdir())


def test_formulas_are_not_compared_by_letters():
    history = history_of(["sin(x)", "cos(x)", "exp(x)"])
    assert nearest_known(history, "sin(x)", 0, molecules=False) is None
    assert nearest_known(history_of(["MKT", "MKA"]), "MKT", 0, molecules=False) == (1, "1 letter different")


def test_a_column_without_values_is_not_shown_as_if_it_had_some(tmp_path):
    data = write(tmp_path / "a.csv", ["SMILES", "pIC50"], [[x, "failed"] for x in START[:6]])
    lines = work.init(tmp_path / "camp", data, model=OWN, **FAST)
    said = next(line for line in lines if "the values are in" in line)
    assert said.endswith("(guessed; --y or --no-y say otherwise); it has none yet")


def test_trainings_beside_a_catalogue_that_needs_none_are_refused_in_words_of_the_shell(tmp_path):
    pytest.importorskip("rdkit")
    rows = [[x, score(x)] for x in ("CCO", "CCN", "CCC", "CCCO", "CCCN", "CCOC")]
    data = write(tmp_path / "a.csv", ["SMILES", "pIC50"], rows)
    (tmp_path / "c.smi").write_text("CCCCO a\nCCCCN b\n")
    options = {"model": "selfies", "catalogue": tmp_path / "c.smi", "training": {"initial_epochs": 1.0}}
    with pytest.raises(ParameterError, match="--epochs must be left out, because nothing is trained"):
        work.init(tmp_path / "camp", data, **options)
    assert not (tmp_path / "camp").exists()
    with pytest.raises(ParameterError, match="--learning-rate and --batch-size must be left out"):
        work.init(tmp_path / "camp", data, **options | {"training": {"lr": 0.1, "batch_size": 3}})


def test_points_of_campaigns_say_what_they_hold(formulas):
    info, history = view_campaign(formulas)
    assert file_endings(info, history) == (".csv",)
