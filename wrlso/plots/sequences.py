"""Figures of sequences: logos, maps of mutations, alignments to a wild type."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wrlso._sequences.alignment import aligned_places
from wrlso._sequences.alphabets import Alphabet, listed_sequences, listed_texts, make_alphabet
from wrlso._utils.validation import check_count
from wrlso.exceptions import DataError, DataTypeError
from wrlso.plots.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["mutation_map", "sequence_alignment", "sequence_logo"]

_COLOURS = {
    "protein": {"AVLIMFWC": "#4d4d4d", "STNQYHGP": "#2a8f5c", "KR": "#2b5fc0", "DE": "#c8372d"},
    "dna": {"A": "#2a8f5c", "C": "#2b5fc0", "G": "#d98c00", "T": "#c8372d"},
    "rna": {"A": "#2a8f5c", "C": "#2b5fc0", "G": "#d98c00", "U": "#c8372d"},
}
_OTHER = "#4d4d4d"
_PLAIN = "#b8b8b8"  # of letters that are the wild type's
Places = NDArray[np.int64]


def sequence_logo(
    X: Sequence[str],
    *,
    alphabet: str | Sequence[str] = "protein",
    wild_type: str | None = None,
    most_places: int = 60,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw how often letters stand at each place: the height of a stack is what a place says, in bits.

    The height is log2 v less the entropy of the v letters at a place (Schneider and Stephens, Nucleic Acids
    Research 18:6097, 1990), without a correction for few sequences; a letter's height is its share of that.

    Parameters
    ----------
    X : sequence of n str
        Sequences of other lengths than the wild type's are aligned to it.
    alphabet : str or sequence of str, default="protein"
    wild_type : str, default=None
        What the places are of; None: the first sequence.
    most_places : int, default=60
        Of more places, those at which the sequences differ most are drawn, and the axis says so.

    Raises
    ------
    DataError, DataTypeError
        Without sequences, and for those that cannot be read.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath

    check_count("most_places", most_places)
    letters, wild, table = _aligned(X, alphabet, wild_type)
    left_out = ""
    v = len(letters.letters)
    shares = np.stack([(table == i).mean(axis=0) for i in range(v)], axis=1)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    bits = np.clip(np.log2(v) + (shares * logs).sum(axis=1), 0.0, None)
    places = np.arange(len(wild))
    if len(places) > most_places:
        places = np.sort(np.argsort(shares.max(axis=1), kind="stable")[:most_places])
        left_out = f"{most_places} of {len(wild)} places, those that differ most"
    figure = figure if figure is not None else new_figure(max(3.0, 0.25 * len(places) + 0.8), 2.4)
    axes = figure.subplots()
    font = FontProperties(family="DejaVu Sans Mono", weight="bold")
    outline = cache(lambda letter: TextPath((0, 0), letter, size=1, prop=font))
    for column, place in enumerate(places):
        bottom = 0.0
        for i in np.argsort(shares[place], kind="stable"):
            height = float(shares[place, i] * bits[place])
            if height < 0.01:
                continue
            letter = letters.letters[i]
            path = outline(letter)
            axes.add_patch(
                PathPatch(
                    _stretched(path, column - 0.45, bottom, 0.9, height), lw=0, color=_colour(letters, letter)
                )
            )
            bottom += height
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_ylim(0, float(np.log2(v)))
    _name_places(axes, letters.text(wild), places)
    axes.set_ylabel("bits")
    axes.set_xlabel(left_out)
    return figure


def mutation_map(
    X: Sequence[str],
    y: ArrayLike,
    *,
    wild_type: str,
    alphabet: str | Sequence[str] = "protein",
    most_places: int = 60,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw what was mutated where: the colour is the mean value of the sequences with a mutation.

    Dots are the wild type's letters; "–" are letters left out. Numbers say how many sequences have a
    mutation, where there are several.

    Parameters
    ----------
    X : sequence of n str
    y : array_like of shape (n,)
        Their values; NaN where there is none, which does not count.
    wild_type : str
    alphabet : str or sequence of str, default="protein"
    most_places : int, default=60
        Of more mutated places, those that are mutated most often are drawn, and the axis says so.

    Raises
    ------
    DataError, DataTypeError
        When X and y disagree, for sequences that cannot be read, and where nothing with a value is mutated.
    """
    check_count("most_places", most_places)
    values, wild_type = _values(X, y), _named(wild_type)
    letters, wild, table = _aligned(X, alphabet, wild_type)
    known = np.isfinite(values)
    mutated = (table != wild) & known[:, None]
    counts = mutated.sum(axis=0)
    if not counts.any():
        raise DataError("at least one sequence with a value must differ from the wild type, got none")
    places, left_out = np.flatnonzero(counts), ""
    if len(places) > most_places:
        left_out = f"{most_places} of {len(places)} mutated places, those mutated most often"
        places = np.sort(np.argsort(-counts, kind="stable")[:most_places])
    rows = [*range(len(letters.letters)), -1]
    means = np.full((len(rows), len(places)), np.nan)
    figure = figure if figure is not None else new_figure(0.28 * len(places) + 2.2, 0.22 * len(rows) + 1.0)
    axes = figure.subplots()
    for i, letter in enumerate(rows):
        for j, place in enumerate(places):
            there = mutated[:, place] & (table[:, place] == letter)
            if there.any():
                means[i, j] = values[there].mean()
            if there.sum() > 1:
                axes.text(j, i, str(int(there.sum())), ha="center", va="center", fontsize="xx-small")
            if wild[place] == letter:
                axes.text(j, i, "·", ha="center", va="center")
    image = axes.imshow(means, aspect="auto", cmap="viridis", interpolation="nearest")
    axes.set_yticks(range(len(rows)), [*letters.letters, "–"], fontsize="x-small")
    _name_places(axes, letters.text(wild), places)
    axes.set_xlabel(left_out)
    figure.colorbar(image, ax=axes, label="mean value")
    return figure


def sequence_alignment(
    X: Sequence[str],
    *,
    wild_type: str,
    labels: Sequence[str] | None = None,
    alphabet: str | Sequence[str] = "protein",
    width: int = 60,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw sequences below the wild type: letters where they differ from it, else dots.

    "–" is a letter left out; a bar is where letters were inserted.

    Parameters
    ----------
    X : sequence of n str
    wild_type : str
    labels : sequence of n str, default=None
        What stands before them; None: their numbers of mutated places.
    alphabet : str or sequence of str, default="protein"
    width : int, default=60
        Places in a line.

    Raises
    ------
    DataError, DataTypeError
        Without sequences, for those that cannot be read, and for another number of labels.
    """
    check_count("width", width)
    letters, wild, table = _aligned(X, alphabet, _named(wild_type))
    if labels is not None:
        labels = listed_texts(labels, "labels")
    else:
        labels = [str(int(n)) for n in (table != wild).sum(axis=1)]
    if len(labels) != len(X):
        raise DataError(f"expected as many labels as sequences, got {len(labels)} and {len(X)}")
    inserted = _inserted(X, letters, wild)
    blocks = range(0, len(wild), width)
    columns = min(width, len(wild))
    n_lines = len(blocks) * (len(X) + 2)
    figure = figure if figure is not None else new_figure(0.14 * columns + 1.6, 0.17 * n_lines + 0.3)
    axes = figure.subplots()
    axes.set_axis_off()
    line, dots = 0, [np.empty((0, 2))]
    style: dict[str, Any] = {"ha": "center", "va": "center", "family": "monospace", "fontsize": 8}
    for start in blocks:
        part = slice(start, start + width)
        axes.text(-1.5, line, str(start + 1), ha="right", va="center", fontsize=8)
        for j, letter in enumerate(letters.text(wild[part])):
            axes.text(j, line, letter, weight="bold", **style)
        for i, row in enumerate(table):
            line += 1
            axes.text(-1.5, line, labels[i], ha="right", va="center", fontsize=8)
            for j in np.flatnonzero(row[part] != wild[part]).tolist():
                text = "–" if row[start + j] < 0 else letters.letters[row[start + j]]
                axes.text(j, line, text, color=_colour(letters, text), **style)
            same = np.flatnonzero(row[part] == wild[part])
            dots.append(np.stack([same, np.full(len(same), line)], axis=1))
            for place in inserted[i] & set(range(start, start + width)):
                j = place - start
                axes.plot([j - 0.5, j - 0.5], [line - 0.4, line + 0.4], color="#c8372d", lw=1.2)
        line += 2
    across, down = np.concatenate(dots).T
    axes.scatter(across, down, s=3, color=_PLAIN, linewidths=0)  # a text for each would be slow
    axes.set_xlim(-6, columns)
    axes.set_ylim(line - 1, -1)
    return figure


def _aligned(
    X: Sequence[str], alphabet: Any, wild_type: str | None
) -> tuple[Alphabet, Places, NDArray[np.int64]]:
    """Return the alphabet, the wild type's letters (L,), and those at its places (n, L), -1 for none."""
    letters = make_alphabet(alphabet)
    texts = listed_sequences(X, letters)
    if not texts:
        raise DataError("at least one sequence expected, got none")
    wild = letters.numbers(texts[0] if wild_type is None else _wild_type(wild_type, letters))
    table = np.full((len(texts), len(wild)), -1, dtype=np.int64)
    rows = [letters.numbers(text) for text in texts]
    for row, numbers, places in zip(table, rows, _partners(wild, rows), strict=True):
        row[places >= 0] = numbers[places[places >= 0]]
    return letters, wild, table


def _partners(wild: Places, rows: list[Places]) -> list[Places]:
    """Return where the letters of the wild type are in each row, -1 for nowhere."""
    other = [i for i, row in enumerate(rows) if len(row) != len(wild)]
    found = [np.arange(len(wild), dtype=np.int64)] * len(rows)
    for i, places in zip(other, aligned_places([wild] * len(other), [rows[i] for i in other]), strict=True):
        found[i] = places
    return found


def _named(wild_type: Any) -> str:
    if not isinstance(wild_type, str):
        raise DataTypeError(f"wild_type must be a sequence, str, got {type(wild_type).__name__}")
    return wild_type


def _wild_type(given: Any, letters: Alphabet) -> str:
    text = _named(given)
    try:
        return letters.read(text)
    except DataError as error:
        raise DataError(f"wild_type must be a sequence of {letters.name}: {error}") from None


def _values(X: Any, y: Any) -> NDArray[np.float64]:
    """Return the values (n,) of n sequences."""
    listed_texts(X)
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"y must hold numbers, NaN where there is none, got {y!r:.60}: {error}") from None
    if values.shape != (len(X),):
        raise DataError(f"X and y must have the same length, got {len(X)} and shape {values.shape}")
    return values


def _inserted(X: Sequence[str], letters: Alphabet, wild: Places) -> list[set[int]]:
    """Return before which places of the wild type each sequence has more letters."""
    found: list[set[int]] = []
    for places in _partners(wild, [letters.numbers(letters.read(text)) for text in X]):
        there = np.flatnonzero(places >= 0)
        apart = np.diff(places[there], prepend=-1)
        found.append({int(place) for place in there[apart > 1]})
    return found


def _colour(letters: Alphabet, letter: str) -> str:
    groups = _COLOURS.get(letters.name, {})
    return next((colour for group, colour in groups.items() if letter in group), _OTHER)


def _name_places(axes: Any, wild: str, places: Places) -> None:
    texts = [f"{wild[place]}{place + 1}" for place in places]
    axes.set_xticks(range(len(places)), texts, rotation=90, fontsize="x-small")


def _stretched(path: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Return the outline of a letter in a box."""
    from matplotlib.transforms import Affine2D

    box = path.get_extents()
    scale = Affine2D().translate(-box.x0, -box.y0).scale(width / box.width, height / box.height)
    return scale.translate(left, bottom).transform_path(path)
