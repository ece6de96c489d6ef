"""The work of the shell commands: a campaign is a folder, and candidates and results travel as tables.

Each function makes one change that is on disk before it returns, and says in a few lines what it did. The id
of a point is its row in ``history_.records``.
"""

import copy
import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wrlso._sequences.fasta import FASTA_ENDINGS
from wrlso.campaign.advice import advise
from wrlso.campaign.assays import check_values, keep_only
from wrlso.campaign.catalogue_table import candidates_of
from wrlso.campaign.corrections import read_correction
from wrlso.campaign.exports import points_text
from wrlso.campaign.model_names import (
    BUILT_IN,
    model_of_campaign,
    named_callable,
    set_salts,
)
from wrlso.campaign.outcome_columns import aims_of_campaign, in_words, plainly
from wrlso.campaign.point_names import check_plate, names_of_points, plate_wells
from wrlso.campaign.results_table import Choices, Plan, plan_tell, result_in_words, told_columns
from wrlso.campaign.rule_options import restored, rules_line
from wrlso.campaign.start_table import (
    AS_BEFORE,
    Form,
    learn_tokens,
    left_out,
    without_names,
)
from wrlso.campaign.tables import check_place, plural, read_table, reserve
from wrlso.campaign.views import (
    best_line,
    fasta_points,
    is_flat,
    ranges,
    require_text,
    shown,
    state_lines,
    who_works,
)
from wrlso.exceptions import DataError, ParameterError, UnknownPointError
from wrlso.history import Record
from wrlso.outcomes import aims_of
from wrlso.storage.info import campaign_settings, view_campaign
from wrlso.storage.lock import WorkLock
from wrlso.storage.names import TELL_LOCK

if TYPE_CHECKING:  # takes a second to import: functions import it once they have checked their arguments
    from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = [
    "ACCEPTED", "BUILT_IN", "Form", "about", "accept", "ask", "note", "open_campaign", "recording",
    "release", "report", "retrain", "status", "tell", "update",
]  # fmt: skip

Lines = list[str]
ACCEPTED = "will be made"  # the note of who makes a point


def open_campaign(
    campaign: Path,
    *,
    model: str | None = None,
    feasible: str | None = None,
    salts: str | None = None,
    autosave: bool = True,
    verbose: int = 0,
) -> "WeightedRetrainingOptimizer":
    """Load a campaign so that each change is on disk at once; without ``autosave``, only to look at it.

    Raises
    ------
    ParameterError
        When the campaign needs code of the user's own, and the command does not name it.
    """
    info = campaign_settings(campaign)
    others = sorted(set(info["needs"]) - {"model", "feasible"})
    if others:
        raise ParameterError(
            f"this campaign was made in Python with {', '.join(others)} of your own, which no command can "
            f"name: continue it in Python; {advise('only looking')}"
        )
    if "feasible" in info["needs"] and feasible is None:
        raise ParameterError(
            f"this campaign's candidates are tested by your own code ({info['needs']['feasible']!r:.120}): "
            f"{advise('feasible')}"
        )
    parts: dict[str, Any] = {}
    if feasible is not None:
        parts["feasible"] = restored(info["parameters"], named_callable(feasible))
    parts["model"] = model_of_campaign(campaign, model, info["notes"].get("model"))
    set_salts(parts["model"], salts or info["notes"].get("salts"))
    from wrlso.optimizer import WeightedRetrainingOptimizer

    opt = WeightedRetrainingOptimizer.load(campaign, **parts, autosave=autosave)
    opt.verbose = verbose
    return opt


@contextmanager
def recording(
    campaign: Path, *, model: str | None = None, feasible: str | None = None, salts: str | None = None
) -> Iterator["WeightedRetrainingOptimizer"]:
    """Open a campaign and let no other command record results, so that what was checked holds when told."""
    campaign_settings(campaign)  # whether there is one
    with WorkLock(campaign / TELL_LOCK).held():
        opt = open_campaign(campaign, model=model, feasible=feasible, salts=salts)
        yield opt
        if salts is not None:
            opt.notes_.update(salts=salts)


def ask(
    opt: "WeightedRetrainingOptimizer",
    campaign: Path,
    n: int = 1,
    *,
    out: Path | None = None,
    force: bool = False,
    pending: bool = False,
    plate: int | None = None,
    form: Form = AS_BEFORE,
) -> tuple[str, Lines]:
    """Ask for n points, or take those that are awaited, and write them as a table to fill in.

    Awaited (``pending``) are points that are pending, or told in part: what is told stands in the table,
    which may be told again with it. With ``plate`` (24, 96 or 384) each has a well. Returns the table where
    there is no file to write it to ("" otherwise), and what to say.

    Raises
    ------
    ParameterError
        When the file exists and ``force`` is not set, or the plate is too small; nothing is asked then.
    ParameterError, OSError
        When the file cannot be written after all; the points are pending then, and a note says how to get
        them.
    """
    require_text(opt.history_)
    check_plate(plate, len(_awaited(opt)) if pending else n)
    rows: list[int] = []
    if out is None:
        rows = _ask(opt, n, pending)
        return _written(opt, rows, form, plate), _asked(opt, rows, campaign, None)
    try:
        with reserve(out, force=force) as stream:
            rows = _ask(opt, n, pending)
            stream.write(_written(opt, rows, form, plate, out))
    except (ParameterError, OSError) as error:
        if rows:
            error.add_note(
                f"the {plural(len(rows), 'point')} asked for {'is' if len(rows) == 1 else 'are'} pending; to "
                f"write all pending ones: wrlso ask {quoted(campaign)} --pending --out FILE"
            )
        raise
    return "", _asked(opt, rows, campaign, out)


def _written(
    opt: "WeightedRetrainingOptimizer",
    rows: list[int],
    form: Form,
    plate: int | None,
    out: Path | None = None,
) -> str:
    places, notes = plate_wells(plate, rows), opt.notes_
    names = names_of_points(notes, opt.history_, opt.candidates, rows)
    if out is not None and out.suffix.lower() in FASTA_ENDINGS:
        return fasta_points(opt.history_, rows, names or {}, places)
    aims = aims_of(opt.outcomes, opt.direction)
    return points_text(opt.history_, rows, form, Form.of(notes), aims, names, wells=places)


def tell(
    opt: "WeightedRetrainingOptimizer",
    campaign: Path,
    results: Path,
    *,
    form: Form = AS_BEFORE,
    ids: bool = True,
    replicates: bool = False,
    choices: Choices = MappingProxyType({}),
    reason: str = "",
    check: bool = False,
) -> Lines:
    """Tell the campaign all new results of a table, or nothing when any row of it cannot be told.

    Parameters
    ----------
    results : Path
        A batch that :func:`ask` wrote, or any table with a column of x and one of values.
    ids : bool, default=True
        Whether a column "id" holds the ids of this campaign.
    replicates : bool, default=False
        Whether a different value of a measured point is a repeated measurement.
    choices : mapping
        What counts where a cell contradicts a recorded value, by row and column: "keep", "correct" or "both".
    reason : str, default=""
        Stands with the corrections among them.
    check : bool, default=False
        Say what would be told, and tell nothing.

    Raises
    ------
    DataError
        When rows cannot be told; notes name all of them.
    """
    kept = Form.of(opt.notes_)
    table = keep_only(read_table(results, delimiter=form.delimiter), form.only)
    aims = aims_of(opt.outcomes, opt.direction)
    columns = told_columns(table, form, kept, ids, aims)
    for y in columns.outcomes.values:
        table, _ = check_values(table, columns.x, y, {} if aims.are_named else opt.notes_)
    reader = copy.deepcopy(opt.model_)
    news: Lines = []
    if columns.x is not None:
        table = without_names(table, columns.x, reader)
        news = learn_tokens(table, columns.x, reader)
        table.remarks.extend(left_out(table, columns.x, reader))
    plan = plan_tell(
        table,
        columns,
        opt.history_,
        reader,
        campaign=quoted(campaign),
        decimal=form.decimal or kept.decimal or ".",
        replicates=replicates,
        choices=choices,
        reason=reason,
    )
    if plan.X and not check:
        if news:
            opt.extend(plan.X)
        opt.tell(plan.X, plan.values)
    for x, name, value in () if check else plan.corrections:
        opt.update(x, {name: value} if name else value, reason=reason)
    lines = [*table.remarks, *(news if plan.X else []), *plan.remarks, f"{results.name}: {_counts(plan)}"]
    if plan.n_new:
        lines.append(f"{plural(plan.n_new, 'point')} of these had not been asked for")
    if check:
        return [*lines, "checked only: nothing was recorded"]
    n_part = len(_awaited(opt)) - len(opt.history_.rows_with("pending"))
    if n_part:
        lines.append(
            f"{plural(n_part, 'point')} told in part; {advise('complete', campaign=quoted(campaign))}"
        )
    return [*lines, _best(opt)]


def _counts(plan: Plan) -> str:
    """Return how many rows of a table say what."""
    n_failed = plan.values.count(None)
    counts = [plural(len(plan.X) - n_failed - plan.n_left_out, "new value")]
    counts += [f"{n_failed} failed"] if n_failed else []
    counts += [f"{len(plan.corrections)} corrected"] if plan.corrections else []
    counts += [f"{plan.n_left_out} of which something is not measured"] if plan.n_left_out else []
    counts += [f"{plan.n_known} known already"] if plan.n_known else []
    counts += [f"{plan.n_blank} not measured yet"] if plan.n_blank else []
    return ", ".join(counts)


def update(
    opt: "WeightedRetrainingOptimizer",
    point: str,
    value: str | Sequence[str],
    *,
    form: Form = AS_BEFORE,
    reason: str | None = None,
    campaign: Path | str = "CAMPAIGN",
) -> Lines:
    """Correct values of a point, or say that its experiment failed; the old values stay on record.

    Parameters
    ----------
    point : str
        An id, or x itself.
    value : str or sequence of str
        "7.3", ">10", "n.d." (not measured), "failed" (the whole experiment); of outcomes with names each as
        NAME=VALUE. Outcomes that are not named keep their values.
    reason : str, default=None
        Stands with the correction.
    campaign : path
        Its name, for the command that brings values back.
    """
    row = _row(opt, point)
    record = opt.history_.records[row]
    if record.status not in ("observed", "failed"):
        raise UnknownPointError(f"id {row} is {record.status} and has no value to correct; {advise('tell')}")
    aims = aims_of(opt.outcomes, opt.direction)
    now = read_correction(value, form, Form.of(opt.notes_), aims)
    names = aims.names if now is None else list(now)
    before = {name: result_in_words(record, name) for name in names}
    lost = {name: before[name] for name in record.readings if now is None}
    opt.update(record.x, math.nan if now == {"": None} else plainly(now), reason=reason)
    after = {name: result_in_words(record, name) for name in names}
    lines = [
        f"id {row} ({shown(record.x)}): {f'{name} = ' if name else ''}{before[name]} is now {after[name]}"
        for name in names
        if now is not None or name in lost or not lost
    ]
    if len(aims.names) > 1 and lost:
        values = " ".join(_argument(f"{name}={text}") for name, text in lost.items())
        lines.append(
            "the experiment as a whole counts as failed; the history keeps what was told, and this brings it "
            f"back: {advise('bring back', campaign=quoted(Path(campaign)), point=row, values=values)}"
        )
    return [*lines, _best(opt)]


def _argument(text: str) -> str:
    return shlex.quote(text)


def release(
    opt: "WeightedRetrainingOptimizer",
    points: Sequence[str],
    *,
    every: bool = False,
    reason: str | None = None,
    again: bool = False,
) -> Lines:
    """Forget pending points, by id or x (``every``: all of them), so that they may be asked again.

    Points with a ``reason`` are rejected: they are not asked again; a release without one takes that back. Of
    points that are told in part, what is missing is no longer awaited. ``again``: say that they may be asked
    again, which no reason goes with.
    """
    check_points(points, every=every, reason=reason, again=again)
    history, names = opt.history_, aims_of(opt.outcomes, opt.direction).names
    rows = sorted(
        {int(row) for row in history.rows_with("pending")} if every else {_row(opt, p) for p in points}
    )
    kinds = {row: _release_kind(history.records[row], names, reason) for row in rows}
    for row, kind in kinds.items():
        if not kind:
            raise UnknownPointError(
                f"id {row} is {history.records[row].status} and not pending, so nothing was released"
            )
    for row in rows:
        opt.release(history.records[row].x, reason=reason)
    counts = Counter(kinds.values())
    return [f"{plural(n, 'point')} {kind}" for kind, n in counts.items()] or ["no point is pending"]


def _release_kind(record: Record, names: Sequence[str], reason: str | None) -> str:
    """Return what a release makes of a point, "" where it cannot be released."""
    if record.status == "pending":
        return "rejected, and not asked again" if reason else "released"
    if record.lacks(names):
        return "told in part, of which nothing more is awaited"
    return "no longer rejected" if record.status == "rejected" and not reason else ""


def note(opt: "WeightedRetrainingOptimizer", point: str, text: str) -> Lines:
    """Add a note to a point, given by id or x; the history keeps all of them."""
    row = _row(opt, point)
    opt.note(opt.history_.records[row].x, text)
    return [f"id {row}: noted"]


def accept(opt: "WeightedRetrainingOptimizer", point: str) -> Lines:
    """Note that a pending point will be made by who says so: a note, which others see with name and time."""
    row = _row(opt, point)
    status = opt.history_.records[row].status
    if status != "pending":
        raise UnknownPointError(f"id {row} is {status} and not pending, so nobody need make it")
    opt.note(opt.history_.records[row].x, ACCEPTED)
    return [f"id {row}: {ACCEPTED}"]


def retrain(opt: "WeightedRetrainingOptimizer") -> Lines:
    """Train the model on all data now."""
    opt.retrain()
    log = opt.history_.trainings[-1]
    if "diverged" in log:
        return [f"the training diverged, and the model stays as it was: {log['diverged']}"]
    return [f"trained on {plural(log['n_observed'], 'point')} with a value, in {log['seconds']:.0f} s"]


def status(campaign: Path) -> Lines:
    """Return the state of a campaign in words; needs no model, and waits for no other process."""
    info, history = view_campaign(campaign)
    parameters = info["parameters"]
    aims = aims_of_campaign(info)
    lines = [f"{campaign}: {about(info)}"]
    lines += state_lines(history, aims, parameters["retrain_every"], flat=is_flat(info["notes"]))
    lines += rules_line(parameters)
    listed = candidates_of(campaign, info)
    if listed is not None:
        also = "; the model proposes, too" if parameters.get("generate", True) else ""
        lines.insert(1, f"{plural(len(listed), 'candidate')} in the catalogue{also}")
    worker = who_works(campaign)
    return [*lines, f"{worker} is asking or training now" if worker else "nobody is asking or training now"]


def about(info: Mapping[str, Any]) -> str:
    """Return the model of a campaign and what it is after."""
    return f"model {shown(info['notes'].get('model', 'of your own'))}, {in_words(aims_of_campaign(info))}"


def report(opt: "WeightedRetrainingOptimizer", out: Path, *, force: bool = False) -> Lines:
    """Write the report, one HTML file."""
    check_place(out, force=force)
    from wrlso.report.write import write_report

    return [f"{write_report(opt, out)}"]


def check_value(campaign: Path, value: str | Sequence[str], *, form: Form = AS_BEFORE) -> None:
    """Raise the error of :func:`update` for a value that cannot be read, before the campaign is opened."""
    settings = campaign_settings(campaign)
    read_correction(value, form, Form.of(settings["notes"]), aims_of_campaign(settings))


def check_points(
    points: Sequence[str], *, every: bool, reason: str | None = None, again: bool = False
) -> None:
    """Raise ParameterError unless either points or ``every`` one are to be released, with a reason or not."""
    if points and every:
        raise ParameterError(
            f"--all releases every pending point, but points are named, too ({', '.join(points)}): leave out "
            "one of them"
        )
    if not points and not every:
        raise ParameterError("give the ids of the points to release, or --all")
    if reason is not None and not reason.strip():
        raise ParameterError("the reason is blank: say why the points are rejected, or leave it out")
    if reason is not None and again:
        raise ParameterError(
            "a point with a reason is rejected and not asked again, so it cannot be one that may be asked "
            "again: leave out the reason, and write it as a note"
        )


def quoted(path: Path) -> str:
    """Return a path, quoted for a shell where it must be."""
    return shlex.quote(str(path))


# ---------------------------------------------------------------- parts


def _awaited(opt: "WeightedRetrainingOptimizer") -> list[int]:
    return [int(row) for row in opt.history_.awaited_rows(aims_of(opt.outcomes, opt.direction).names)]


def _ask(opt: "WeightedRetrainingOptimizer", n: int, pending: bool) -> list[int]:
    if pending:
        if rows := _awaited(opt):
            return rows
        raise DataError("no point is pending: each one that was asked for has been told or released")
    X = opt.ask(n)
    found = [opt.history_.row(opt.model_.key(x)) for x in X]
    return [row for row in found if row is not None]


def _best(opt: "WeightedRetrainingOptimizer") -> str:
    return best_line(opt.history_, aims_of(opt.outcomes, opt.direction), flat=is_flat(opt.notes_))


def _asked(opt: "WeightedRetrainingOptimizer", rows: list[int], campaign: Path, out: Path | None) -> Lines:
    where = "" if out is None else f" in {out}"
    others = len(_awaited(opt)) - len(rows)
    return [
        f"{plural(len(rows), 'point')}{where}, ids {ranges(rows)}"
        + (f"; {others} asked for earlier still pending" if others else ""),
        f"fill in {_columns_of(opt)}: a number, 'failed', 'n.d.', or blank while it is not measured; "
        f"then: wrlso tell {quoted(campaign)} {quoted(out) if out else 'FILE'}",
    ]


def _columns_of(opt: "WeightedRetrainingOptimizer") -> str:
    names = aims_of(opt.outcomes, opt.direction).names
    return ", ".join(repr(name or Form.of(opt.notes_).y) for name in names)


def _row(opt: "WeightedRetrainingOptimizer", point: str) -> int:
    """Return the row of a point that is given by its id or by x."""
    n = len(opt.history_)
    if point.strip().isdecimal():
        if int(point) < n:
            return int(point)
        raise UnknownPointError(f"there is no point with the id {int(point)}; ids go from 0 to {n - 1}")
    try:
        row = opt.history_.row(opt.model_.key(point))
    except (ValueError, TypeError, LookupError):  # also what a user's own model raises
        row = None
    if row is None:
        raise UnknownPointError(f"{point!r} is neither an id nor a point of this campaign")
    return row
