"""What a backtest found: curves, a table, and one sentence."""

from collections.abc import Mapping
from html import escape
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BacktestResult"]

Rows = NDArray[np.int64]
Array = NDArray[np.float64]

_TOP = 0.05  # share of the values that are called the best
_LEVEL = 0.95
_ROWS = 10  # numbers of queries in the table
_WORDS = {
    "search": "this library's search",
    "features": "log EI, process on features",
    "latent": "log EI, process in Z",
    "random": "random choice",
}


class Difference(NamedTuple):
    """How much more of the best a strategy finds than a random choice, with an interval of 95 %."""

    mean: float
    low: float
    high: float


class BacktestResult:
    """The replays of a table.

    Attributes
    ----------
    y : ndarray (N,)
        Values of the different x, NaN where the experiment failed.
    direction : str
    batch_size : int
    starts : ndarray (repeats, n_start)
        Rows that were known at the start.
    asked : dict of ndarray (repeats, n_queries)
        Rows in the order in which each strategy asked for them.

    Examples
    --------
    One repeat of five rows, of which row 0 was known, and a search that found the best row at once:

    >>> from wrlso import BacktestResult
    >>> y = np.array([0.1, 0.5, 0.2, 0.9, 0.3])
    >>> asked = {"search": np.array([[3, 1]]), "random": np.array([[2, 4]])}
    >>> result = BacktestResult(y, "maximize", 1, np.array([[0]]), asked)
    >>> result.strategies, result.n_queries
    (['search', 'random'], 2)
    """

    def __init__(
        self, y: Array, direction: str, batch_size: int, starts: Rows, asked: Mapping[str, Rows]
    ) -> None:
        self.y = y
        self.direction = direction
        self.batch_size = batch_size
        self.starts = starts
        self.asked: dict[str, Rows] = dict(asked)
        self._sign = -1.0 if direction == "minimize" else 1.0

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies."""
        return list(self.asked)

    @property
    def n_queries(self) -> int:
        """How many rows each strategy asked for."""
        return int(next(iter(self.asked.values())).shape[1])

    @property
    def top(self) -> NDArray[np.bool_]:
        """Whether each x is among the best 5 % (N,)."""
        known = np.flatnonzero(np.isfinite(self.y))
        order = known[np.argsort(-self._sign * self.y[known], kind="stable")]
        found = np.zeros(len(self.y), dtype=bool)
        found[order[: max(1, int(np.ceil(_TOP * len(known))))]] = True
        return found

    def best(self, strategy: str) -> Array:
        """Return the best value after 0, 1, … queries (repeats, n_queries + 1), in the user's sign."""
        rows = np.concatenate([self.starts, self.asked[strategy]], axis=1)
        values = self._sign * np.where(np.isfinite(self.y), self.y, -self._sign * np.inf)[rows]
        best = np.maximum.accumulate(values, axis=1)[:, self.starts.shape[1] - 1 :]
        return np.asarray(self._sign * best)

    def found(self, strategy: str) -> Array:
        """Return the share of the best 5 % that was found after 0, 1, … queries (repeats, n_queries + 1).

        Those that were known at the start are left out.
        """
        top = self.top
        hidden = np.maximum(top.sum() - top[self.starts].sum(axis=1), 1)
        hits = np.cumsum(top[self.asked[strategy]], axis=1) / hidden[:, None]
        found: Array = np.concatenate([np.zeros((len(hits), 1)), hits], axis=1)
        return found

    def best_possible(self) -> Array:
        """Return the share of the best 5 % that no strategy could exceed (n_queries + 1,)."""
        top = self.top
        hidden = np.maximum(top.sum() - top[self.starts].sum(axis=1), 1)
        possible: Array = np.minimum(np.arange(self.n_queries + 1) / hidden[:, None], 1.0).mean(axis=0)
        return possible

    def enrichment(self, strategy: str) -> Array:
        """Return how many times more of the best than a random choice was found (n_queries + 1,)."""
        n = len(self.y) - self.starts.shape[1]
        expected = np.arange(self.n_queries + 1) / n
        enrichment: Array = self.found(strategy).mean(axis=0) / np.maximum(expected, 1e-300)
        return enrichment

    def difference(self, strategy: str, other: str | None = None) -> Difference:
        """Return how much more of the best 5 % a strategy found in the end, with an interval of 95 %.

        Parameters
        ----------
        strategy : str
        other : str, default=None
            Compared with; None: what a random choice finds in expectation.

        Notes
        -----
        Two things vary: the random start, so the repeats differ; and which x happen to be the best of all
        that could be in such a table. A search that likes some x whatever their values would find the same
        ones in every repeat, and repeats alone would make it look better or worse than it is. So the
        squared standard errors over repeats and over the best x are added, which is cautious.
        """
        gain = self._gains(strategy) - (0.0 if other is None else self._gains(other))
        over_repeats, over_best = _means(gain), _means(gain.T)
        n = len(over_repeats)
        if n < 2:  # all that is best was known at the start
            return Difference(0.0, -1.0, 1.0)
        mean = float(over_repeats.mean())
        square = np.var(over_repeats, ddof=1) / n
        if len(over_best) > 1:
            square += np.var(over_best, ddof=1) / len(over_best)
        half = float(student.ppf(0.5 + _LEVEL / 2, n - 1) * np.sqrt(square))
        return Difference(mean, mean - half, mean + half)

    def _gains(self, strategy: str) -> Array:
        """Return found (1) or not, less what a random choice finds (repeats, best x); NaN: at the start."""
        best = np.flatnonzero(self.top)
        expected = self.n_queries / (len(self.y) - self.starts.shape[1])
        gain = np.empty((len(self.starts), len(best)))
        for i, (start, asked) in enumerate(zip(self.starts, self.asked[strategy], strict=True)):
            gain[i] = np.isin(best, asked) - expected
            gain[i, np.isin(best, start)] = np.nan
        return gain

    @property
    def verdict(self) -> str:
        """One sentence: whether the search would have helped on these data, and with which settings."""
        others = [name for name in self.asked if name != "random"]
        gains = {name: self.difference(name) for name in others}
        search = gains["search"]
        shares = {name: float(self.found(name)[:, -1].mean()) for name in others}
        expected = shares["search"] - search.mean
        numbers = (
            f"after {self.n_queries} queries it found {shares['search']:.0%} of the best 5 %, where a random "
            f"choice finds {expected:.0%} (difference {search.mean:+.0%}, 95 % interval {search.low:+.0%} to "
            f"{search.high:+.0%})"
        )
        best = max(others, key=lambda name: shares[name])
        if search.low > 0:
            rival = self.difference(best, "search")
            settings = "with its defaults"
            if best != "search" and rival.low > 0:
                settings = f"and more so as {_WORDS[best]}, which found {shares[best]:.0%}"
            return f"The search would have helped on these data, {settings}: {numbers}."
        if search.high < 0:
            return f"The search would have done worse than a random choice on these data: {numbers}."
        helped = [name for name in others if gains[name].low > 0]
        if helped:
            name = max(helped, key=lambda name: shares[name])
            return (
                f"There is no evidence that the default search would have helped on these data ({numbers}), "
                f"but {_WORDS[name]} found {shares[name]:.0%} ({gains[name].low:+.0%} to "
                f"{gains[name].high:+.0%})."
            )
        return f"There is no evidence that the search would have helped on these data: {numbers}."

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each strategy and number of queries: means over the repeats."""
        steps = np.unique(np.linspace(0, self.n_queries, _ROWS + 1).round().astype(int))[1:]
        rows = []
        for name in self.asked:
            best, found = self.best(name), self.found(name)
            enrichment = self.enrichment(name)
            for step in steps:
                rows.append(
                    {
                        "strategy": name,
                        "queries": int(step),
                        "best": float(best[:, step].mean()),
                        "found": float(found[:, step].mean()),
                        "enrichment": float(enrichment[step]),
                    }
                )
        return rows

    def to_csv(self) -> str:
        """Return all repeats as CSV: strategy, repeat, queries, best, found."""
        lines = ["strategy,repeat,queries,best,found"]
        for name in self.asked:
            best, found = self.best(name), self.found(name)
            for repeat, step in np.ndindex(best.shape):
                value = best[repeat, step] if np.isfinite(best[repeat, step]) else ""
                lines.append(f"{name},{repeat},{step},{value},{found[repeat, step]:.6g}")
        return "\n".join(lines) + "\n"

    def to_frame(self) -> Any:
        """Return all repeats as a DataFrame: strategy, repeat, queries, best, found. Needs pandas."""
        pandas = import_module("pandas")
        parts = []
        for name in self.asked:
            best, found = self.best(name), self.found(name)
            repeats, queries = np.indices(best.shape)
            columns: dict[str, Any] = {"repeat": repeats, "queries": queries, "best": best, "found": found}
            flat = {column: values.reshape(-1) for column, values in columns.items()}
            parts.append(pandas.DataFrame({"strategy": name} | flat))
        return pandas.concat(parts, ignore_index=True)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the share of the best 5 % that was found by the number of queries; needs matplotlib.

        The bands are 95 % intervals of the means over the repeats. Afterwards ``ax_`` and ``figure_`` are
        the axes and the figure.
        """
        from wrlso.plots.curves import share_found_curves

        curves = {_WORDS.get(name, name): self.found(name) for name in self.asked}
        self.ax_ = share_found_curves(curves, self.best_possible(), ax=ax)
        self.figure_ = self.ax_.figure
        return self

    def __repr__(self) -> str:
        """Show the table and the verdict."""
        steps = sorted({row["queries"] for row in self.table()})
        cells = {(row["strategy"], row["queries"]): row for row in self.table()}
        width = max(len(_WORDS.get(name, name)) for name in [*self.asked]) + 2
        lines = [
            f"Backtest on {len(self.y):,} x: {self.starts.shape[1]} known at the start, batches of "
            f"{self.batch_size}, {len(self.starts)} repeats"
        ]
        for title, key, form in (
            ("Best value", "best", "{:.4g}"),
            ("Share of the best 5 % found", "found", "{:.0%}"),
            ("Enrichment", "enrichment", "{:.1f}"),
        ):
            lines += ["", f"{title + ', after queries:':{width}}" + "".join(f"{step:>8}" for step in steps)]
            for name in self.asked:
                values = (form.format(cells[name, step][key]) for step in steps)
                lines.append(f"{_WORDS.get(name, name):{width}}" + "".join(f"{value:>8}" for value in values))
            possible = self._possible(key, steps, form)
            if possible:
                lines.append(f"{'best possible':{width}}" + "".join(f"{value:>8}" for value in possible))
        return "\n".join([*lines, "", self.verdict])

    def _possible(self, key: str, steps: list[int], form: str) -> list[str]:
        """Return what was possible."""
        if key == "best":
            return [form.format(self._sign * np.nanmax(self._sign * self.y))] * len(steps)
        if key == "found":
            return [form.format(self.best_possible()[step]) for step in steps]
        return []

    def to_html(self) -> str:
        """Return picture, table and verdict as a part of an HTML page."""
        return f"<p><b>{escape(self.verdict)}</b></p>{self._svg()}<pre>{escape(repr(self))}</pre>"

    def _svg(self) -> str:
        try:
            figure: Any = self.plot().figure_
        except ModuleNotFoundError:  # without matplotlib
            return ""
        stream = StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
        text = stream.getvalue()
        return text[text.index("<svg") :]

    def _repr_html_(self) -> str:
        return self.to_html()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _means(values: Array) -> Array:
    """Return the mean of each row without NaN, of those that have any number."""
    rows = [row[np.isfinite(row)] for row in values]
    return np.array([row.mean() for row in rows if len(row)])
