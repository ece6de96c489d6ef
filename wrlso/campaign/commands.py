"""The work of the shell commands: a campaign is a folder, and candidates and results travel as tables.

Each function makes one change that is on disk before it returns, and says in a few lines what it did. The id
of a point is its row in ``history_.records``.
"""

import copy
import math
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wrlso._sequences.fasta import FASTA_ENDINGS
from wrlso.campaign.advice import advise
from wrlso.campaign.assays import check_values, keep_only
from wrlso.campaign.catalogue_table import candidates_of, check_candidates, read_candidates
from wrlso.campaign.contents import check_fits
from wrlso.campaign.corrections import read_correction
from wrlso.campaign.event_words import happenings, notes_in_a_cell, notes_on
from wrlso.campaign.model_names import (
    BUILT_IN,
    default_salts,
    keep_model,
    make_model,
    model_of_campaign,
    named_callable,
    set_salts,
)
from wrlso.campaign.new_optimizer import new_optimizer
from wrlso.campaign.outcome_columns import aims_of_campaign, in_words, plainly
from wrlso.campaign.point_names import check_plate, keep_names, names_of_points, plate_wells
from wrlso.campaign.results_table import Choices, plan_tell, result_in_words, told_columns
from wrlso.campaign.rule_options import restored, rules_line, together
from wrlso.campaign.sequence_options import add_sequence_rules, coding_model, sequence_remarks
from wrlso.campaign.start_table import (
    AS_BEFORE,
    Form,
    learn_tokens,
    left_out,
    read_start,
    start_columns,
    start_contents,
    without_names,
)
from wrlso.campaign.substructures import holding
from wrlso.campaign.tables import check_place, plural, read_table, reserve
from wrlso.campaign.views import (
    best_line,
    fasta_points,
    format_points,
    is_flat,
    json_export,
    local_time,
    ranges,
    require_text,
    sdf_export,
    shown,
    state_lines,
    who_works,
)
from wrlso.exceptions import DataError, ParameterError, UnknownPointError
from wrlso.history import History, Record
from wrlso.outcomes import Aims, aims_of
from wrlso.storage.beginning import check_vacant, new_campaign
from wrlso.storage.info import campaign_settings, view_campaign
from wrlso.storage.lock import WorkLock
from wrlso.storage.names import TELL_LOCK, is_campaign

if TYPE_CHECKING:  # takes a second to import: functions import it once they have checked their arguments
    from wrlso.optimizer import WeightedRetrainingOptimizer
    from wrlso.rules.filters import Filters

__all__ = [
    "ACCEPTED", "BUILT_IN", "Form", "about", "accept", "ask", "export", "history", "init", "note",
    "open_campaign", "recording", "release", "report", "retrain", "status", "tell", "update",
]  # fmt: skip

Lines = list[str]
ACCEPTED = "will be made"  # the note of who makes a point


def init(
    campaign: Path,
    data: Path,
    *,
    model: str,
    form: Form = AS_BEFORE,
    values: bool = True,
    feasible: str | None = None,
    rules: "Sequence[str | Filters]" = (),
    sequence_rules: Mapping[str, Any] | None = None,
    salts: str | None = None,
    catalogue: Path | None = None,
    generate: bool | None = None,
    training: Mapping[str, Any] | None = None,
    **options: Any,
) -> Lines:
    """Make a campaign from a file of x with or without values, and train the model on it.

    Parameters
    ----------
    campaign : Path
        A folder that does not exist yet, or is empty.
    data : Path
        CSV, or a list of x (``.smi``, ``.txt``, FASTA).
    model : str
        A built-in name, ``package.module:factory``, or the ``.safetensors`` file of a model of molecules, of
        which the campaign keeps a copy.
    form : Form
        Columns, delimiter and decimal sign, as far as they are not to be guessed.
    values : bool, default=True
        Whether the file has values.
    feasible : str, default=None
        ``package.module:function`` that says whether an x may be proposed.
    rules : sequence
        Rules of molecules, as ``feasible`` of the optimizer takes them.
    sequence_rules : mapping, default=None
        What ``read_sequence_rules`` returns.
    salts : {"refuse", "largest", "neutral"}, default=None
        What a model of molecules does with several fragments, and charges; None: a model of ours takes the
        largest one, one of your own stays as it is.
    catalogue : Path, default=None
        CSV or a list of what can be had: candidates with their names.
    generate : bool, default=None
        Whether the model may propose, too; None: where there is no catalogue.
    training : mapping, default=None
        Parameters of the trainer in place of the model's defaults.
    **options
        Parameters of the optimizer, and ``plausibility`` of :func:`wrlso.molecules.search_options`.

    Raises
    ------
    DataError
        When the file cannot be used; notes name every bad row, and nothing is made.
    ParameterError
        When the campaign exists already, or there is no such model.
    """
    if is_campaign(campaign) or campaign.is_file():
        raise ParameterError(f"{campaign} exists already; see: wrlso status {quoted(campaign)}")
    check_vacant(campaign)
    table = keep_only(read_table(data, delimiter=form.delimiter), form.only)
    aims = aims_of(options.get("outcomes"), options.get("direction", "maximize"))
    table, x, columns, decimal, guesses, facts = start_columns(table, form, aims, values)
    own = None if feasible is None else named_callable(feasible)
    model = coding_model(model, sequence_rules or {})
    generative = make_model(model, options.get("random_state") or 0)
    test = together(add_sequence_rules(generative, sequence_rules or {}, rules, table.column(x)), own)
    guesses += sequence_remarks(generative, sequence_rules or {}, table.column(x))
    salts = set_salts(generative, salts or default_salts(model, generative))
    table = without_names(table, x, generative)
    guesses += [*left_out(table, x, generative), *learn_tokens(table, x, generative)]
    X, told, failed = read_start(table, x, columns, decimal, generative)
    options = {"feasible": test, "generate": catalogue is None if generate is None else generate} | options
    listed = None if catalogue is None else read_candidates(catalogue, replace(form, y=None), generative)
    options |= {} if listed is None else {"candidates": listed[0]}
    opt = new_optimizer(generative, len(X), training or {}, options)
    said = [] if listed is None else check_candidates(opt, listed[1])
    notes = {"model": model, "x": x, "y": next(iter(columns.values), form.y or "y")}
    opt.notes_.update(notes | {"delimiter": table.delimiter, "decimal": decimal} | facts)
    opt.notes_.update(_reading_notes(generative, salts))
    with new_campaign(campaign, TELL_LOCK):
        keep_model(model, generative, campaign)  # before a training that may be long
        begun = _begin(opt, X, told, failed)
        said += keep_names(opt, table, x)
        opt.save(campaign)
    return [
        *table.remarks,
        *guesses,
        *said,
        f"{campaign}: {start_contents(opt.history_, len(X))}, from {data.name}; {begun}",
        *([_best(opt)] if opt.history_.n_observed else []),
        f"next: wrlso ask {quoted(campaign)} -n 8 --out batch.csv",
    ]


def _begin(opt: "WeightedRetrainingOptimizer", X: Any, told: Any, failed: Any) -> str:
    """Fit, tell what failed, and say how long the training took."""
    from wrlso._state.settings import trains

    start = time.perf_counter()
    opt.fit(X, told)
    if failed:
        opt.tell(failed, [None] * len(failed))
    seconds = time.perf_counter() - start
    return f"the model was trained on them in {seconds:.0f} s" if trains(opt) else "no training is needed"


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
        What counts where a cell contradicts a recorded value: see :func:`plan_tell`.
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
    n_failed = plan.values.count(None)
    counts = [plural(len(plan.X) - n_failed - plan.n_left_out, "new value")]
    counts += [f"{n_failed} failed"] if n_failed else []
    counts += [f"{len(plan.corrections)} corrected"] if plan.corrections else []
    counts += [f"{plan.n_left_out} of which something is not measured"] if plan.n_left_out else []
    counts += [f"{plan.n_known} known already"] if plan.n_known else []
    counts += [f"{plan.n_blank} not measured yet"] if plan.n_blank else []
    lines = [*table.remarks, *(news if plan.X else []), *plan.remarks, f"{results.name}: {', '.join(counts)}"]
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


def history(campaign: Path, point: str | None = None) -> Lines:
    """Return what happened, to all points or to one, in words: when, who, what.

    Needs no model, and waits for no other process; a point that is no id is found by its text.
    """
    info, found = view_campaign(campaign)
    row = None if point is None else _viewed_row(found, point)
    lines = []
    for words in happenings(found, info["authors"]):
        if words.what in ("search", "units") or (row is not None and words.row != row):
            continue
        was = f"{words.was} is now " if words.was else ""
        parts = [
            local_time(words.time), words.by, "" if words.row < 0 else f"id {words.row}", words.what,
            shown(f"{was}{words.said}", 500), f"({shown(words.reason, 500)})" if words.reason else "",
        ]  # fmt: skip
        lines.append("  ".join(filter(None, parts)))
    former = [] if row is None else [note for note in notes_on(info, found, row) if not note.time]
    return [*(f"note of a former version: {shown(remark.text, 500)}" for remark in former), *lines]


def _viewed_row(found: History, point: str) -> int:
    """Return the row of a point that is given by its id or by the text of x."""
    if point.strip().isdecimal():
        if int(point) < len(found):
            return int(point)
        raise UnknownPointError(
            f"there is no point with the id {int(point)}; ids go from 0 to {len(found) - 1}"
        )
    row = next((row for row, record in enumerate(found) if record.x == point), None)
    if row is None:
        raise UnknownPointError(
            f"{point!r} is neither an id nor a point of this campaign as it is written there"
        )
    return row


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


def export(
    campaign: Path,
    *,
    out: Path | None = None,
    as_json: bool | None = None,
    force: bool = False,
    form: Form = AS_BEFORE,
    substructure: str | None = None,
) -> str:
    """Write everything that is known, or the molecules with a substructure; without a file return it.

    The name of the file says the form: .json, .sdf for molecules (id, x, value and status), FASTA (names and
    sequences), else CSV. Raises ParameterError for a form or a substructure that the campaign's x do not fit.

    Needs no model, and waits for no other process.
    """
    if out is not None:
        check_place(out, force=force)
    info, history = view_campaign(campaign)
    rows: Sequence[int] = range(len(history))
    ending = "" if out is None or as_json is not None else out.suffix.lower()
    if substructure is not None or ending == ".sdf":
        check_fits(info, history, "molecules")
    if ending in FASTA_ENDINGS:
        check_fits(info, history, "sequences")
    if substructure is not None:
        rows = holding(history, rows, substructure)
    if as_json or ending == ".json":
        if substructure is not None:
            raise ParameterError("JSON holds the whole campaign; with a substructure write CSV, SDF or FASTA")
        text = json_export(history, info, aims_of_campaign(info).names)
    elif ending == ".sdf":
        kept = Form.of(info["notes"])
        columns = {name: name or kept.y or "y" for name in aims_of_campaign(info).names}
        text = sdf_export(history, kept.x or "x", columns, rows)
    else:
        require_text(history)
        kept = Form.of(info["notes"])
        aims, listed, flat = aims_of_campaign(info), candidates_of(campaign, info), is_flat(info["notes"])
        names = names_of_points(info["notes"], history, listed, rows)
        if ending in FASTA_ENDINGS:
            text = fasta_points(history, rows, names or {}, {})
        else:
            notes = {row: notes_in_a_cell(notes_on(info, history, row)) for row in rows}
            text = points_text(history, rows, form, kept, aims, names, details=True, flat=flat, notes=notes)
    if out is None:
        return text
    with reserve(out, force=force) as stream:
        stream.write(text)
    return ""


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


def _reading_notes(model: Any, salts: str | None) -> dict[str, str]:
    """Return what a campaign notes of how its model reads molecules."""
    flat = {"stereo": "no"} if getattr(model, "stereo", None) is False else {}
    return flat if salts is None else flat | {"salts": salts}


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


def points_text(
    history: History,
    rows: Iterable[int],
    form: Form,
    kept: Form,
    aims: Aims,
    names: Mapping[Any, str] | None = None,
    *,
    wells: Mapping[int, str] | None = None,
    details: bool = False,
    flat: bool = False,
    notes: Mapping[int, str] | None = None,
) -> str:
    return format_points(
        history,
        rows,
        form.x or kept.x or "x",
        {name: name or form.y or kept.y or "y" for name in aims.names},
        delimiter=form.delimiter or kept.delimiter or ",",
        decimal=form.decimal or kept.decimal or ".",
        names=names,
        wells=wells,
        details=details,
        flat=flat,
        notes=notes,
    )


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
