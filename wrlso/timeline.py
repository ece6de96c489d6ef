"""The evaluations of each worker over time, the trainings of the model, and the workers' utilization."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["Attempt", "Evaluation", "Timeline", "utilization_chart"]

_COLOURS = {"value": "#0072B2", "failed": "#D55E00", "lost": "#777777"}


@dataclass(frozen=True)
class Attempt:
    """One call of the objective.

    Attributes
    ----------
    worker : str
        Host, process and thread; empty when the worker sent nothing back.
    submitted, started, ended : float
        Seconds since 1970: submission to the engine, begin and end. A worker that sent nothing back counts
        as busy from the submission until the loop noticed the loss.
    reason : str or None
        Why the call failed; None when it returned a value.
    lost : bool
        Whether the worker died or exceeded the timeout.
    """

    worker: str
    submitted: float
    started: float
    ended: float
    reason: str | None = None
    lost: bool = False


@dataclass(frozen=True)
class Evaluation:
    """All attempts to evaluate one point.

    Attributes
    ----------
    x : object
    value : float, Reading, dict or None
        What was told: with named outcomes a dict of name to :class:`wrlso.Reading`. None when every attempt
        failed.
    reason : str or None
        Why the last attempt failed.
    attempts : tuple of Attempt
        At least one, at most ``retries`` + 1.
    """

    x: Any
    value: Any
    reason: str | None
    attempts: tuple[Attempt, ...]

    @property
    def seconds(self) -> float:
        """Duration of the last attempt."""
        return self.attempts[-1].ended - self.attempts[-1].started


@dataclass
class Timeline:
    """All evaluations, asks and trainings of a loop, with their times.

    Attributes
    ----------
    n_workers : int
        Largest number of evaluations at once.
    evaluations : list of Evaluation
        In the order of their tells.
    asks, trainings : list of (float, float)
        Begin and end of each, seconds since 1970. An ask that trains first counts as one ask.

    Examples
    --------
    Two evaluations of a second by two workers, one after a lost attempt:

    >>> first = Evaluation("a", 1.0, None, (Attempt("w1", 0.0, 0.0, 1.0),))
    >>> lost = Attempt("", 0.0, 0.0, 0.5, reason="the worker died", lost=True)
    >>> second = Evaluation("b", 2.0, None, (lost, Attempt("w2", 0.5, 0.5, 1.5)))
    >>> timeline = Timeline(2, [first, second])
    >>> timeline.span, second.seconds, len(timeline.attempts)
    ((0.0, 1.5), 1.0, 3)
    """

    n_workers: int
    evaluations: list[Evaluation] = field(default_factory=list)
    asks: list[tuple[float, float]] = field(default_factory=list)
    trainings: list[tuple[float, float]] = field(default_factory=list)

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts of all evaluations, in the order of their beginning."""
        found = [attempt for evaluation in self.evaluations for attempt in evaluation.attempts]
        return sorted(found, key=lambda attempt: attempt.started)

    @property
    def span(self) -> tuple[float, float]:
        """From the first submission to the end of the last attempt; (0, 0) without attempts."""
        attempts = self.attempts
        if not attempts:
            return 0.0, 0.0
        return min(a.submitted for a in attempts), max(a.ended for a in attempts)

    @property
    def utilization(self) -> float:
        """Share of the workers' time within :attr:`span` that evaluations took, in [0, 1]."""
        begin, end = self.span
        busy = sum(attempt.ended - attempt.started for attempt in self.attempts)
        return busy / (self.n_workers * (end - begin)) if end > begin else 0.0

    def lanes(self) -> list[list[Attempt]]:
        """Return the attempts in the fewest rows without overlap: one row for each worker."""
        rows: list[list[Attempt]] = []
        for attempt in self.attempts:
            free = [row for row in rows if row[-1].ended <= attempt.started]
            same = [row for row in free if row[-1].worker == attempt.worker]
            if free:
                (same or free)[0].append(attempt)
            else:
                rows.append([attempt])
        return rows


def utilization_chart(timeline: Timeline, *, figure: "Figure | SubFigure | None" = None) -> Any:
    """Draw a bar for every evaluation, a row for every worker, and the trainings behind them.

    Parameters
    ----------
    timeline : Timeline
        For example ``result.timeline`` of :func:`wrlso.maximize`.
    figure : Figure or SubFigure, default=None
        Figure to draw in; None: a new one.

    Returns
    -------
    matplotlib Figure or SubFigure
    """
    if figure is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.5, 3.0), layout="constrained")
    axes = figure.add_subplot()
    begin = timeline.span[0]
    lanes = timeline.lanes()
    for number, (first, last) in enumerate(timeline.trainings):
        label = "training" if number == 0 else None
        axes.axvspan(first - begin, last - begin, color="#E69F00", alpha=0.3, linewidth=0, label=label)
    for kind, colour in _COLOURS.items():
        bars = [(row, a) for row, lane in enumerate(lanes) for a in lane if _kind(a) == kind]
        if bars:
            rows, attempts = zip(*bars, strict=True)
            axes.barh(
                rows,
                [a.ended - a.started for a in attempts],
                left=[a.started - begin for a in attempts],
                color=colour,
                edgecolor="white",
                linewidth=0.5,
                label=kind,
            )
    axes.set(xlabel="seconds", ylabel="worker", title=f"{timeline.utilization:.0%} busy")
    axes.set_yticks(_ticks(len(lanes)))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    return figure


def _kind(attempt: Attempt) -> str:
    if attempt.lost:
        return "lost"
    return "value" if attempt.reason is None else "failed"


def _ticks(n: int) -> Sequence[int]:
    return range(n) if n <= 10 else range(0, n, n // 8)
