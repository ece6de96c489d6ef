"""The commands that work on a campaign: argument parsing only; the work is done in :mod:`wrlso.campaign`."""

import inspect
import re
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from wrlso.campaign.start_table import Form

__all__ = [
    "EXIT_CODES", "Delimiter", "Force", "Only", "Salts", "XColumn", "add_commands", "form_of", "help_of",
    "say", "verbosity",
]  # fmt: skip

EXIT_CODES = (
    "Exit codes: 0 success; 1 error, with a message; 2 wrong usage; 130 interrupted. After 1 and 130 nothing "
    "is recorded, except points that ask had found already: they are pending."
)


class Direction(StrEnum):
    """Which values are better."""

    maximize = "maximize"
    minimize = "minimize"


class Salts(StrEnum):
    """What a model of molecules does with several fragments, and with charges."""

    refuse = "refuse"
    largest = "largest"
    neutral = "neutral"


class Delimiter(StrEnum):
    """What stands between the cells of a table."""

    comma = "comma"
    semicolon = "semicolon"
    tab = "tab"


_SIGNS = {Delimiter.comma: ",", Delimiter.semicolon: ";", Delimiter.tab: "\t"}

Campaign = Annotated[
    Path, typer.Argument(metavar="CAMPAIGN", help="The campaign's folder.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Your own model: package.module:factory (or set WRLSO_MODEL), or a file NAME.safetensors. "
        "No code runs because a campaign's files name it.",
    ),
]
Feasible = Annotated[
    str | None,
    typer.Option(
        metavar="FUNCTION",
        help="Your own test of candidates, package.module:function: takes x, returns true or false.",
    ),
]
XColumn = Annotated[str | None, typer.Option("--x", metavar="COLUMN", help="Column of x.")]
YColumn = Annotated[str | None, typer.Option("--y", metavar="COLUMN", help="Column of values.")]
SaltsOption = Annotated[
    Salts | None,
    typer.Option(
        help="Salts and mixtures: refuse them, or take the largest fragment, or this without charges.  "
        "[default: as before; in init largest]"
    ),
]
Goals = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN", help="An outcome that is better larger; several goals are searched for together."
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'COLUMN=NUMBER'", help="A limit that an outcome has to keep; may be given several times."
    ),
]
RulesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rules",
        metavar="RULES",
        help="Rules of proposed molecules: drug-like, lead-like, no-alerts, or NAME=VALUE such as logp=1..4, "
        "tpsa=..90, charge=0, heavy_atoms=10..40, alerts=BRENK,PAINS; may be given several times.",
    ),
]
MaxSA = Annotated[
    float | None, typer.Option("--max-sa", help="Largest synthetic accessibility score, from 1 to 10.")
]
Keep = Annotated[
    str | None,
    typer.Option(metavar="SMILES", help="A core that every proposal has; [*:1] says where it may go on."),
]
Near = Annotated[
    str | None,
    typer.Option(
        metavar="'SMILES SIMILARITY'", help="Stay near to a molecule (Tanimoto, ECFP4).  [similarity: 0.4]"
    ),
]
Novel = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Least Tanimoto distance to every molecule that is known beforehand."),
]
Comma = Annotated[
    bool | None,
    typer.Option(
        "--decimal-comma/--decimal-point", help="Numbers such as 1,5 or 1.5.  [default: as in init]"
    ),
]
DecimalSign = Annotated[
    bool | None,
    typer.Option("--decimal-comma/--decimal-point", help="Numbers such as 1,5 or 1.5.  [default: detected]"),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="COLUMN=VALUE",
        help="Read only the rows that hold this, such as 'Standard Type=IC50'; may be given several times.",
    ),
]
DelimiterOption = Annotated[
    Delimiter | None,
    typer.Option(help="Between cells.  [default: detected when reading; as in init when writing]"),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write.  [default: standard output]")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands, in the order in which a campaign needs them."""
    for command in (init, ask, tell, status, history, update, release, note, retrain, export, report):
        # or a negative value would be taken for an option
        settings = {"ignore_unknown_options": True} if command is update else None
        app.command(help=help_of(command), epilog=EXIT_CODES, context_settings=settings)(command)


def help_of(command: Callable[..., None]) -> str:
    """Return the docstring with its examples marked as text that is not to be filled."""
    return re.sub(r"^(For example:)$", "\b\n\\1", inspect.getdoc(command) or "", flags=re.MULTILINE)


def init(
    campaign: Campaign,
    data: Annotated[Path, typer.Option(help="CSV file with a header; or .smi or .txt, one x per line.")],
    model: Annotated[
        str,
        typer.Option(
            envvar="WRLSO_MODEL",
            metavar="NAME",
            help="Built-in model, package.module:factory, or a file of weights.",
        ),
    ],
    x: XColumn = None,
    y: YColumn = None,
    no_y: Annotated[bool, typer.Option("--no-y", help="Start without values.")] = False,
    direction: Annotated[Direction, typer.Option(help="Which values are better.")] = Direction.maximize,
    maximize: Goals = None,
    minimize: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="As --maximize.")] = None,
    at_least: Limits = None,
    at_most: Annotated[
        list[str] | None, typer.Option(metavar="'COLUMN=NUMBER'", help="As --at-least.")
    ] = None,
    record: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that is only kept.")
    ] = None,
    decimal_comma: DecimalSign = None,
    delimiter: Annotated[Delimiter | None, typer.Option(help="Between cells.  [default: detected]")] = None,
    only: Only = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="What can be had, as CSV or .smi with names: only this is proposed."),
    ] = None,
    generate: Annotated[
        bool | None,
        typer.Option(
            "--generate/--no-generate",
            help="Whether the model proposes x of its own.  [default: unless there is a catalogue]",
        ),
    ] = None,
    feasible: Feasible = None,
    rules: RulesOption = None,
    max_sa: MaxSA = None,
    keep: Keep = None,
    near: Near = None,
    novel: Novel = None,
    plausibility: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Proposals are as plausible as the data without this share. "
            "[default: 0.1 for molecules, no bound for sequences]",
        ),
    ] = None,
    any_molecule: Annotated[
        bool,
        typer.Option(
            "--any-molecule", help="Propose odd parts and alerts also where the data hardly have them."
        ),
    ] = False,
    salts: SaltsOption = None,
    neutralize: Annotated[
        bool, typer.Option("--neutralize", help="Take charges away where protons can: --salts neutral.")
    ] = False,
    wild_type: Annotated[
        str | None, typer.Option(metavar="SEQUENCE", help="Sequences: what mutations are counted from.")
    ] = None,
    max_mutations: Annotated[
        int | None, typer.Option(min=0, help="Sequences: most mutations of the wild type.")
    ] = None,
    fixed: Annotated[
        str | None,
        typer.Option(metavar="POSITIONS", help="Sequences: what stays of the wild type, such as 1,60-70."),
    ] = None,
    required: Annotated[
        list[str] | None, typer.Option(metavar="MOTIF", help="Sequences: must occur, such as N{P}[ST].")
    ] = None,
    forbidden: Annotated[
        list[str] | None, typer.Option(metavar="MOTIF", help="Sequences: must not occur, such as GAATTC.")
    ] = None,
    gc: Annotated[
        str | None, typer.Option(metavar="RANGE", help="DNA and RNA: share of G and C, such as 0.4..0.6.")
    ] = None,
    length: Annotated[
        str | None,
        typer.Option(metavar="RANGE", help="Sequences: 57, or 50..60.  [default: as in the data]"),
    ] = None,
    max_homopolymer: Annotated[
        int | None, typer.Option(min=1, help="Sequences: most equal letters in a row.")
    ] = None,
    any_ends: Annotated[
        bool,
        typer.Option(
            "--any-ends", help="Proteins: lose M at the beginning, and DNA a stop codon, that the data have."
        ),
    ] = False,
    translate: Annotated[
        bool,
        typer.Option("--translate", help="DNA: codes for proteins, which are searched; proposals are DNA."),
    ] = False,
    codon_usage: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="--translate: e-coli, human, yeast, or a table.  [default: e-coli]"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The same seed and data give the same campaign.")
    ] = 0,
    retrain_every: Annotated[
        int, typer.Option(min=0, help="Retrain when this many values are new; 0: only by wrlso retrain.")
    ] = 50,
    epochs: Annotated[
        float | None,
        typer.Option(min=0, help="Passes of the first training.  [default: the model's, often 20]"),
    ] = None,
    retrain_epochs: Annotated[
        float | None, typer.Option(min=0, help="Passes of each retraining.  [default: the model's, often 1]")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate of the training.  [default: the model's]")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Batch size of the training.  [default: the model's]")
    ] = None,
) -> None:
    """Start a campaign: read data, train the model on it, and make the folder CAMPAIGN.

    A blank value (or nan) is an x that was not measured: the model learns from it, and it may be proposed.
    'failed' is an experiment that failed. Rows with the same x are repeated measurements; their mean counts.
    --model selfies and --model junction-tree are the models of molecules that come with the package; tokens
    or rings of the data that they do not know are added to their vocabulary. --model FILE.safetensors is a
    model of your own, written by its to_file. --model protein, dna and rna are models of sequences; they
    learn from the data alone, CSV or FASTA. With --translate DNA is searched by the protein it codes for.

    Columns that are not named are guessed from names and contents, and the guess is printed. Other columns
    are ignored, except those that say what the values are (relation, unit, type): values that cannot be
    compared are refused until --only has chosen some. UTF-8, UTF-16 and Windows files, commas, semicolons
    and tabs are recognised, and decimal commas.

    --maximize, --minimize, --at-least, --at-most and --record name the columns of several outcomes. Cells
    such as >10 and <0.1 are bounds, n.d. is blank, and beside "pIC50" may stand "pIC50 sd" and "pIC50 n", the
    standard deviation and number of replicates.

    For example:
      wrlso init lead --data a.csv --model selfies --maximize pIC50 --minimize logD --at-least solubility=50
      wrlso init solubility --data measured.csv --model expressions --x formula --y logS
      wrlso init permeability --data assay.csv --model selfies
      wrlso init herg --data chembl.csv --model selfies --only units=nM
      wrlso init lead --data assay.csv --model selfies --rules drug-like --max-sa 4.5 --keep '[*:1]c1ccncc1'
      wrlso init enzyme --data plate1.csv --model protein --wild-type MKTAYIAKQR --max-mutations 6
      wrlso init stock --data measured.csv --model selfies --catalogue vendor.smi
      wrlso init kinase --data library.smi --model mylab.models:make --direction minimize
    """
    from wrlso.campaign import beginning as work
    from wrlso.campaign.rule_options import read_rules
    from wrlso.campaign.sequence_options import read_sequence_rules

    chosen: dict[str, Any] = {
        "initial_epochs": epochs, "retrain_epochs": retrain_epochs, "lr": learning_rate,
        "batch_size": batch_size,
    }  # fmt: skip
    say(
        work.init(
            campaign,
            data,
            model=model,
            form=form_of(x, y, delimiter, decimal_comma, only),
            values=not no_y,
            catalogue=catalogue,
            generate=generate,
            feasible=feasible,
            rules=read_rules(rules or (), max_sa=max_sa, keep=keep, near=near, novel=novel),
            sequence_rules=read_sequence_rules(
                wild_type=wild_type, max_mutations=max_mutations, fixed=fixed, required=required or (),
                forbidden=forbidden or (), gc=gc, length=length, max_homopolymer=max_homopolymer,
                translate=translate, codon_usage=codon_usage, keep_ends=not any_ends,
            ),
            plausibility=_plausibility(plausibility, any_molecule),
            salts=_salts(salts, neutralize),
            outcomes=_outcomes(y, direction, maximize, minimize, at_least, at_most, record),
            direction=direction.value,
            random_state=seed,
            retrain_every=retrain_every or None,
            training={name: value for name, value in chosen.items() if value is not None},
            verbose=verbosity(),
        )
    )  # fmt: skip


def _plausibility(share: float | None, any_molecule: bool) -> float | Literal["auto"] | None:
    """Return what bounds how odd proposals are; --any-molecule is no bound."""
    if any_molecule and share is not None:
        raise typer.BadParameter(
            "it says no bound, beside --plausibility, which is one", param_hint="--any-molecule"
        )
    return None if any_molecule else "auto" if share is None else share


def _salts(salts: Salts | None, neutralize: bool) -> str | None:
    """Return what is done with salts; --neutralize is short for one way."""
    if neutralize and salts not in (None, Salts.neutral):
        raise typer.BadParameter("it is --salts neutral, not another one", param_hint="--neutralize")
    return Salts.neutral.value if neutralize else None if salts is None else salts.value


def _outcomes(y: str | None, direction: Direction, *named: Any) -> Any:
    """Return the outcomes that are named, None for one number."""
    from wrlso.campaign.outcome_columns import read_outcomes

    outcomes = read_outcomes(*named)
    if outcomes is not None and (y is not None or direction is not Direction.maximize):
        raise typer.BadParameter(
            "goals name the columns: leave out --y and --direction", param_hint="--maximize"
        )
    return outcomes


def ask(
    campaign: Campaign,
    n: Annotated[
        int | None,
        typer.Option("-n", "--number", min=1, help="How many points.  [default: 1, or a full plate]"),
    ] = None,
    out: Out = None,
    force: Force = False,
    pending: Annotated[
        bool, typer.Option("--pending", help="Write what is pending or told in part; ask for no new points.")
    ] = False,
    plate: Annotated[
        int | None,
        typer.Option(metavar="WELLS", help="Give each point a well (A1, A2, …) of a plate of 24, 96 or 384."),
    ] = None,
    model: Model = None,
    feasible: Feasible = None,
    decimal_comma: Comma = None,
    delimiter: DelimiterOption = None,
) -> None:
    """Ask what to try next, and write it as a table to fill in.

    The table has the columns id, x and value. Keep the id: tell finds the point by it. The model is trained
    first when that is due. Points asked for stay pending until they are told or released.

    Text that a spreadsheet would run as a formula (it begins with = + - @) gets an apostrophe before it;
    tell removes it again.

    For example:
      wrlso ask kinase -n 8 --out week1.csv
      wrlso ask enzyme --plate 96 --out plate2.csv
      wrlso ask kinase --pending --out again.csv
    """
    from wrlso.campaign import commands as work
    from wrlso.campaign.point_names import check_plate
    from wrlso.campaign.tables import check_place

    n = n or plate or 1
    check_plate(plate, 0 if pending else n)
    if out is not None:
        check_place(out, force=force)  # before the campaign is opened, which takes seconds
    opt = work.open_campaign(campaign, model=model, feasible=feasible, verbose=verbosity())
    form = form_of(None, None, delimiter, decimal_comma)
    text, lines = work.ask(opt, campaign, n, out=out, force=force, pending=pending, plate=plate, form=form)
    typer.echo(text, nl=False)
    say(lines, err=out is None)


def tell(
    campaign: Campaign,
    results: Annotated[Path, typer.Argument(metavar="FILE", help="Table of results.", show_default=False)],
    x: XColumn = None,
    y: YColumn = None,
    no_ids: Annotated[
        bool, typer.Option("--no-ids", help="Ignore the column id, which is not this campaign's; go by x.")
    ] = False,
    replicates: Annotated[
        bool,
        typer.Option("--replicates", help="Different values of measured points are repeated measurements."),
    ] = False,
    decimal_comma: Comma = None,
    delimiter: DelimiterOption = None,
    only: Only = None,
    model: Model = None,
    feasible: Feasible = None,
    salts: SaltsOption = None,
    check: Annotated[bool, typer.Option("--check", help="Say what would be told; tell nothing.")] = False,
) -> None:
    """Report results: a table that ask wrote, filled in, or any with the columns of x and values.

    A number is a value; 'failed' (or 'failed' in a column status) says that the whole experiment failed;
    blank (or nan) means not measured yet, and 'n.d.' that this outcome will not be. Rows without an id go by
    x, and may be points that were never asked for.

    Telling a file twice changes nothing, so fill it in as results come, and tell it again each time. A
    different value of a measured point is refused: see update, and --replicates. When rows cannot be told,
    all of them are named, and nothing of the file is recorded.

    For example:
      wrlso tell kinase week1.csv
      wrlso tell kinase from-a-colleague.csv --y "IC50 (nM)" --no-ids
    """
    from wrlso.campaign import commands as work
    from wrlso.campaign.assays import keep_only
    from wrlso.campaign.tables import read_table

    form = form_of(x, y, delimiter, decimal_comma, only)
    # errors come before the campaign is opened, which takes seconds
    keep_only(read_table(results, delimiter=form.delimiter), form.only)
    taken = None if salts is None else salts.value
    with work.recording(campaign, model=model, feasible=feasible, salts=taken) as opt:
        say(work.tell(opt, campaign, results, form=form, ids=not no_ids, replicates=replicates, check=check))


def status(campaign: Campaign) -> None:
    """Show the state of a campaign: points by status, the best, trainings, and what is pending since when."""
    from wrlso.campaign import commands as work

    say(work.status(campaign))


def history(
    campaign: Campaign,
    point: Annotated[
        str | None,
        typer.Argument(metavar="POINT", help="Its id, or x itself; all without.", show_default=False),
    ] = None,
) -> None:
    """Show what happened, in order: who told, corrected, rejected or noted what, when and why.

    For example:
      wrlso history kinase
      wrlso history kinase 44
    """
    from wrlso.campaign import exports as work

    say(work.history(campaign, point))


def update(
    campaign: Campaign,
    point: Annotated[str, typer.Argument(metavar="POINT", help="Its id, or x itself.", show_default=False)],
    value: Annotated[
        list[str],
        typer.Argument(
            metavar="VALUE", help="The correct value, 'n.d.', or 'failed'; or NAME=VALUE.", show_default=False
        ),
    ],
    decimal_comma: Comma = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stands with the correction.")] = None,
    model: Model = None,
    feasible: Feasible = None,
) -> None:
    """Correct values of a point; of several outcomes those that are named. Old values stay on record.

    n.d. (or nan) says that it was not measured, failed that the experiment as a whole failed.

    For example:
      wrlso update kinase 44 7.3
      wrlso update lead 44 logD=2.1 solubility=n.d.
      wrlso update lead 44 failed --reason "wrong compound in the vial"
    """
    from wrlso.campaign import commands as work

    form = form_of(None, None, None, decimal_comma)
    work.check_value(campaign, value, form=form)
    with work.recording(campaign, model=model, feasible=feasible) as opt:
        say(work.update(opt, point, value, form=form, reason=reason, campaign=campaign))


def release(
    campaign: Campaign,
    points: Annotated[
        list[str] | None,
        typer.Argument(metavar="POINT", help="Their ids, or x themselves.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All points that are pending.")] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why they are rejected: they are not asked again then.")
    ] = None,
    model: Model = None,
    feasible: Feasible = None,
) -> None:
    """Forget points that were asked for and will not be measured. Without --reason they may be asked again.

    With --reason they are rejected, which a release without it takes back. Of points that are told in part,
    what is missing is no longer awaited.

    For example:
      wrlso release kinase 44 47
      wrlso release kinase 44 --reason "cannot be made"
    """
    from wrlso.campaign import commands as work

    work.check_points(points or [], every=every, reason=reason)
    with work.recording(campaign, model=model, feasible=feasible) as opt:
        say(work.release(opt, points or [], every=every, reason=reason))


def note(
    campaign: Campaign,
    point: Annotated[str, typer.Argument(metavar="POINT", help="Its id, or x itself.", show_default=False)],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to note.", show_default=False)],
    model: Model = None,
    feasible: Feasible = None,
) -> None:
    """Add a note to a point; history, export and report show all notes, who wrote them, and when.

    For example:
      wrlso note kinase 44 "ordered from the vendor, due on Friday"
    """
    from wrlso.campaign import commands as work

    with work.recording(campaign, model=model, feasible=feasible) as opt:
        say(work.note(opt, point, text))


def retrain(campaign: Campaign, model: Model = None, feasible: Feasible = None) -> None:
    """Train the model on all data now, whether that is due or not."""
    from wrlso.campaign import commands as work

    say(work.retrain(work.open_campaign(campaign, model=model, feasible=feasible, verbose=verbosity())))


def export(
    campaign: Campaign,
    out: Out = None,
    as_json: Annotated[
        bool | None,
        typer.Option(
            "--json/--csv", help="Format.  [default: JSON for FILE.json, SD file for FILE.sdf, else CSV]"
        ),
    ] = None,
    force: Force = False,
    decimal_comma: Comma = None,
    delimiter: DelimiterOption = None,
    substructure: Annotated[
        str | None, typer.Option(help="Only molecules that hold this substructure (SMARTS).")
    ] = None,
) -> None:
    """Write everything that is known: every point with id, x, value, status, times, and what was corrected.

    JSON also has the trainings and every event in order. Telling an exported CSV changes nothing. FILE.sdf
    gets molecules with their id, value and status, for programs that draw and dock.

    For example:
      wrlso export kinase --out all.csv
      wrlso export kinase --out all.sdf
      wrlso export kinase --json | jq .points
    """
    from wrlso.campaign import exports as work

    form = form_of(None, None, delimiter, decimal_comma)
    text = work.export(campaign, out=out, as_json=as_json, force=force, form=form, substructure=substructure)
    typer.echo(text, nl=False)


def report(
    campaign: Campaign,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    force: Force = False,
    model: Model = None,
    feasible: Feasible = None,
) -> None:
    """Write a report with pictures: one HTML file that needs no network.

    For example:
      wrlso report kinase --out kinase.html
    """
    from wrlso.campaign import commands as work
    from wrlso.campaign.tables import check_place

    check_place(out, force=force)  # before the campaign is opened, which takes seconds
    opt = work.open_campaign(campaign, model=model, feasible=feasible, autosave=False)
    say(work.report(opt, out, force=force))


def form_of(
    x: str | None,
    y: str | None,
    delimiter: Delimiter | None,
    comma: bool | None,
    only: list[str] | None = None,
) -> "Form":
    """Return the form of a table from the options of a command."""
    from wrlso.campaign.start_table import Form

    sign = None if delimiter is None else _SIGNS[delimiter]
    return Form(x, y, sign, None if comma is None else "," if comma else ".", tuple(only or ()))


def verbosity() -> int:
    """Return whether to show progress: on a terminal, not in a log."""
    return int(_is_terminal())


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def say(lines: list[str], *, err: bool = False) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(line, err=err)
