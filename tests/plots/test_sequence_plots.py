"""Figures of sequences: what is drawn where follows from counts and means that can be done by hand."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError
from wrlso.plots import mutation_map, sequence_alignment, sequence_logo

WILD = "MKTAYIAK"
X = [WILD, "MKTAYLAK", "MKSAYLAK", "MKTAYIK"]


def heights(figure):
    """The top of each stack of letters, by column."""
    found = {}
    for patch in figure.axes[0].patches:
        box = patch.get_path().get_extents()
        column = round((box.x0 + box.x1) / 2)
        found[column] = max(found.get(column, 0.0), box.y1)
    return found


def test_a_place_where_all_agree_says_log2_of_the_letters_and_an_even_place_nothing():
    figure = sequence_logo(["AC", "AG", "AT", "AA"], alphabet="dna")
    assert heights(figure) == pytest.approx({0: 2.0}, abs=1e-6)
    tops = heights(sequence_logo(["AC", "AC", "AG", "AG"], alphabet="dna"))
    assert tops == pytest.approx({0: 2.0, 1: 1.0}, abs=1e-6)


def test_of_many_places_those_that_differ_most_are_drawn():
    figure = sequence_logo([WILD, "MKSAYIAK", "MKTAYLAK"], most_places=2)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["T3", "I6"]


def test_colours_of_a_map_are_mean_values():
    figure = mutation_map(X, [0.0, 1.0, 4.0, np.nan], wild_type=WILD)
    axes = figure.axes[0]
    means = np.asarray(axes.images[0].get_array().filled(np.nan))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["T3", "I6"]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert means[rows.index("L"), 1] == 2.5
    assert means[rows.index("S"), 0] == 4.0
    assert np.isfinite(means).sum() == 2
    assert "2" in [text.get_text() for text in axes.texts]


def test_an_alignment_shows_what_differs():
    figure = sequence_alignment([*X[1:], "MKTWAYIAK"], wild_type=WILD, labels=["a", "b", "c", "d"])
    texts = figure.axes[0].texts
    changed = sorted(t.get_text() for t in texts if t.get_text() in "LS–" and t.get_weight() != "bold")
    assert changed == ["L", "L", "S", "–"]
    assert len(figure.axes[0].lines) == 1  # where W was inserted
    assert {"a", "b", "c", "d", "1"} <= {t.get_text() for t in texts}
    wide = sequence_alignment(X, wild_type=WILD, width=4)
    assert {"1", "5"} <= {t.get_text() for t in wide.axes[0].texts}


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(DataError, match="at least one sequence expected"):
        sequence_logo([])
    with pytest.raises(DataError, match="same length, got 1 and shape"):
        mutation_map([WILD], [1.0, 2.0], wild_type=WILD)
    with pytest.raises(DataError, match="must differ from the wild type"):
        mutation_map([WILD, X[1]], [1.0, np.nan], wild_type=WILD)
    with pytest.raises(DataError, match="as many labels as sequences"):
        sequence_alignment(X, wild_type=WILD, labels=["a"])
    with pytest.raises(DataError, match="row 0: .*'X' at position 3, which is ambiguous"):
        sequence_logo(["MKX"])
    with pytest.raises(DataError, match="wild_type must be a sequence of protein: .*'X' at position 3"):
        sequence_logo(X, wild_type="MKX")


DRAW = {
    "logo": sequence_logo,
    "map": lambda X, **options: mutation_map(X, np.arange(4), **{"wild_type": WILD} | options),
    "alignment": lambda X, **options: sequence_alignment(X, **{"wild_type": WILD} | options),
}


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("wrong", [None, 3, WILD, [1, 2, 3, 4], [None] * 4])
def test_what_is_no_list_of_sequences_is_said(name, wrong):
    with pytest.raises(DataTypeError, match="X must"):
        DRAW[name](wrong)


@pytest.mark.parametrize("name", DRAW)
def test_types_of_options_are_said(name):
    with pytest.raises(DataTypeError, match="wild_type must be a sequence, str, got int"):
        DRAW[name](X, wild_type=3)
    with pytest.raises(ParameterTypeError, match="alphabet must be"):
        DRAW[name](X, alphabet=3)
    name_of, wrong = {"logo": ("most_places", 0), "map": ("most_places", 0), "alignment": ("width", 0)}[name]
    with pytest.raises(ParameterError, match=f"{name_of} must be an integer of at least 1, got 0"):
        DRAW[name](X, **{name_of: wrong})


def test_values_and_labels_are_checked():
    with pytest.raises(DataTypeError, match="y must hold numbers, NaN where there is none, got 'abcd'"):
        mutation_map(X, "abcd", wild_type=WILD)
    with pytest.raises(DataTypeError, match="wild_type must be a sequence, str, got NoneType"):
        mutation_map(X, np.arange(4), wild_type=None)
    with pytest.raises(DataTypeError, match="labels must be a sequence of str, got int"):
        sequence_alignment(X, wild_type=WILD, labels=3)


def test_an_axis_says_where_places_are_left_out():
    assert mutation_map(X, np.arange(4), wild_type=WILD).axes[0].get_xlabel() == ""
    some = mutation_map(X, np.arange(4), wild_type=WILD, most_places=1).axes[0].get_xlabel()
    assert some == "1 of 3 mutated places, those mutated most often"
    assert sequence_logo(X, most_places=2).axes[0].get_xlabel() == "2 of 8 places, those that differ most"


def test_sequences_aligned_together_are_as_alone():
    other = [WILD[:3] + WILD[4:], "W" + WILD, WILD[:-2], WILD]
    together = sequence_alignment(other, wild_type=WILD)
    alone = [sequence_alignment([x], wild_type=WILD) for x in other]
    texts = sorted(t.get_text() for t in together.axes[0].texts if t.get_text() in "–W")
    assert texts == sorted(t.get_text() for each in alone for t in each.axes[0].texts if t.get_text() in "–W")
