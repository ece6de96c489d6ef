"""Molecules as pictures: in figures, reports and representations; and who draws an x."""

import base64
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")
from wrlso import VAE, DataError, WeightedRetrainingOptimizer, plots
from wrlso.models.protocol import DrawsObjects
from wrlso.plots.figures import improvements
from wrlso.report import drawings, molecule_svg, register_drawing, write_report
from wrlso.report.drawings import draw, picture

SMILES = ["C", "CC", "CCO", "c1ccccc1", "CC(=O)Nc1ccc(O)cc1", "C#N", "O=C=O", "CCN"]


class Ball(VAE):
    """A model of numbers as vectors that draws each as a circle."""

    def draw(self, x):
        if float(x[0]) > 8:
            raise ValueError("too large to draw")
        return f"<svg xmlns='http://www.w3.org/2000/svg'><circle r='{float(x[0]):g}'/></svg>"


def svg_of(x, model):
    found = picture(x, model)
    return found and base64.b64decode(found[0].partition("base64,")[2]).decode()


def ball():
    return Ball(torch.nn.Linear(2, 2), torch.nn.Linear(1, 2), likelihood="gaussian")


def optimizer(**options):
    X = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    opt = WeightedRetrainingOptimizer(model=ball(), random_state=0, retrain_every=None, **options)
    return opt.fit(X, X[:, 0]), X


# ---------------------------------------------------------------- who draws


def test_a_model_draws_its_objects(caplog):
    model = ball()
    assert isinstance(model, DrawsObjects)
    assert not isinstance(torch.nn.Linear(1, 1), DrawsObjects)
    assert "<circle r='3'/>" in svg_of(np.array([3.0, 0.0]), model)
    assert draw(np.array([9.0, 0.0]), model) == "<code>[9 0]</code>"
    assert "too large to draw" in caplog.text
    assert draw(np.array([3.0, 0.0]), model, registered=False) == "<code>[3 0]</code>"


def test_what_is_registered_for_a_model_comes_before_its_own_drawing_and_a_type_after(monkeypatch):
    monkeypatch.setattr(drawings, "_registered", {})
    x = np.array([3.0, 0.0])
    register_drawing(np.ndarray, lambda x: "<svg>type</svg>")
    assert "<circle" in svg_of(x, ball())
    assert svg_of(x, None) == "<svg>type</svg>"
    register_drawing("VAE", lambda x: "<svg>name</svg>")
    assert svg_of(x, ball()) == "<svg>name</svg>"


# ---------------------------------------------------------------- pages


def test_a_report_shows_the_best_over_time(tmp_path):
    opt, _ = optimizer()
    opt.tell(np.array([[2.5, 0.0], [4.0, 0.0], [3.5, 0.0], [6.0, 0.0]]), [2.5, 4.0, 3.5, 6.0])
    page = write_report(opt, tmp_path, pictures=False).read_text(encoding="utf-8")
    part = page.partition("The best over time")[2].partition("</section>")[0]
    assert re.findall("<figcaption>(.*?)</figcaption>", part) == [
        "starting data: 3",
        "value 2: 4",
        "value 4: 6",
    ]
    drawn = [base64.b64decode(data).decode() for data in re.findall(r'svg\+xml;base64,([^"]*)"', part)]
    assert [float(re.search("r='(.*?)'", svg)[1]) for svg in drawn] == [3.0, 4.0, 6.0]


def test_a_report_of_a_minimization_shows_what_became_smaller(tmp_path):
    opt, _ = optimizer(direction="minimize")
    opt.tell(np.array([[0.5, 0.0], [4.0, 0.0]]), [0.5, 4.0])
    page = write_report(opt, tmp_path, pictures=False).read_text(encoding="utf-8")
    part = page.partition("The best over time")[2].partition("</section>")[0]
    assert re.findall("<figcaption>(.*?)</figcaption>", part) == ["starting data: 1", "value 1: 0.5"]


def test_a_report_without_pictures_has_no_strip_of_them(tmp_path):
    X = np.random.default_rng(0).normal(size=(6, 2))
    opt = WeightedRetrainingOptimizer(
        torch.nn.Linear(2, 2), torch.nn.Linear(1, 2), likelihood="gaussian", random_state=0
    )
    page = write_report(opt.fit(X, X[:, 0]), tmp_path, pictures=False).read_text(encoding="utf-8")
    assert "The best over time" not in page


def test_the_representation_shows_the_best():
    opt, _ = optimizer()
    page = opt._repr_html_()
    (source,) = re.findall(r"<img src='data:image/svg\+xml;base64,([^']*)' alt='best: \[3 0\]'", page)
    assert b"<circle r='3'/>" in base64.b64decode(source)


def test_the_representation_of_what_has_no_picture_has_none():
    X = np.random.default_rng(0).normal(size=(6, 2))
    opt = WeightedRetrainingOptimizer(
        torch.nn.Linear(2, 2), torch.nn.Linear(1, 2), likelihood="gaussian", random_state=0
    )
    assert "<img" not in opt.fit(X, X[:, 0])._repr_html_()
    assert "<img" not in opt.fit(X)._repr_html_()  # no value yet


def test_the_representation_escapes_what_it_shows(monkeypatch):
    monkeypatch.setattr(drawings, "_registered", {str: lambda x: "<svg/>"})
    from wrlso.report.summary import _best_picture

    history = SimpleNamespace(y=np.ones(1))
    opt = SimpleNamespace(history_=history, best_x_="' onload='alert(1)", model_=None)
    assert "alt='best: &#x27; onload=&#x27;alert(1)'" in _best_picture(opt)


# ---------------------------------------------------------------- improvements


@given(st.lists(st.one_of(st.integers(-5, 5).map(float), st.just(np.nan)), max_size=30), st.integers(2, 8))
def test_improvements_are_what_was_better_than_all_before(values, most):
    rows = improvements(np.array(values), most)
    best, expected = -np.inf, []
    for i, value in enumerate(values):
        if value > best:
            best = value
            expected.append(i)
    assert rows == sorted(set(rows))
    assert set(rows) <= set(expected)
    assert len(rows) == min(len(expected), most)
    if expected:
        assert (rows[0], rows[-1]) == (expected[0], expected[-1])


# ---------------------------------------------------------------- molecules


@pytest.mark.parametrize("smiles", SMILES)
def test_a_molecule_is_svg_with_nothing_that_runs(smiles):
    pytest.importorskip("rdkit")
    root = ET.fromstring(molecule_svg(smiles).encode())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "rect", "path", "ellipse"}
    assert molecule_svg(smiles) == molecule_svg(smiles)


def test_equal_molecules_look_the_same_and_others_do_not():
    pytest.importorskip("rdkit")
    drawn = {molecule_svg(smiles) for smiles in SMILES}
    assert len(drawn) == len(SMILES)
    assert "width='200px' height='100px'" in molecule_svg("C", (200, 100))


def test_the_number_of_heavy_atoms_is_below():
    """The text is drawn as outlines: another number, other outlines, and the same for the same number."""
    pytest.importorskip("rdkit")

    def legend(smiles):
        return re.findall(r"<path class='legend'.*?/>", molecule_svg(smiles), re.DOTALL)

    assert len(legend("CCCCO")) == len("5 heavy atoms")
    assert legend("CCCCO") == legend("CCCCN")
    assert legend("CCCCO") != legend("CCCO")
    assert len(legend("[CH4]")) == len("1 heavy atom")


def test_molecules_in_figures():
    pytest.importorskip("rdkit")
    figure = plots.molecule_grid(SMILES[:5], list("abcde"), n_columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "e", ""]
    pictures = [axes.images[0].get_array() for axes in figure.axes[:5]]
    assert all(np.asarray(p).min() < 0.5 < np.asarray(p).max() for p in pictures)  # ink on a light ground
    assert not figure.axes[5].images
    figure.canvas.draw()


def test_the_timeline_shows_every_improvement():
    pytest.importorskip("rdkit")
    y = [1.0, np.nan, 0.5, 3.25, 3.25, 2.0, 4.0, 1.0]
    figure = plots.molecule_timeline(SMILES, y)
    assert [a.get_title() for a in figure.axes] == ["query 1: 1", "query 4: 3.25", "query 7: 4"]
    figure = plots.molecule_timeline(SMILES, y, maximize=False)
    assert [a.get_title() for a in figure.axes] == ["query 1: 1", "query 3: 0.5"]
    figure = plots.molecule_timeline(SMILES, np.arange(8), n_pictures=3)
    assert [a.get_title() for a in figure.axes] == ["query 1: 0", "query 5: 4", "query 8: 7"]


def test_what_cannot_be_drawn_is_named():
    pytest.importorskip("rdkit")
    with pytest.raises(DataError, match="but 'C1CC' is invalid SMILES"):
        molecule_svg("C1CC")
    with pytest.raises(DataError, match="but '3' is int, not a str"):
        molecule_svg(3)
    with pytest.raises(DataError, match="but 'C1CC' is invalid SMILES"):
        plots.molecule_grid(["C", "C1CC"], ["", ""])
    with pytest.raises(DataError, match="expected as many labels as molecules, at least one, got 1 and 0"):
        plots.molecule_grid([], ["a"])
    with pytest.raises(DataError, match="got 1 and 2"):
        plots.molecule_grid(["C", "C"], ["a"])
    with pytest.raises(DataError, match=r"same length, got 2 and shape \(1,\)"):
        plots.molecule_timeline(["C", "C"], [1.0])
    with pytest.raises(DataError, match="at least one value expected, got none among 2"):
        plots.molecule_timeline(["C", "C"], [np.nan, np.nan])
