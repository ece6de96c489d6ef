"""How a campaign begins: data are read, the model is trained on them, and the folder is made."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrlso.campaign.assays import keep_only
from wrlso.campaign.catalogue_table import check_candidates, read_candidates
from wrlso.campaign.commands import quoted
from wrlso.campaign.model_names import default_salts, keep_model, make_model, named_callable, set_salts
from wrlso.campaign.new_optimizer import new_optimizer
from wrlso.campaign.point_names import keep_names
from wrlso.campaign.rule_options import together
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
from wrlso.campaign.tables import read_table
from wrlso.campaign.views import best_line, is_flat
from wrlso.exceptions import ParameterError
from wrlso.outcomes import aims_of
from wrlso.storage.beginning import check_vacant, new_campaign
from wrlso.storage.names import TELL_LOCK, is_campaign

if TYPE_CHECKING:  # takes a second to import: functions import it once they have checked their arguments
    from wrlso.optimizer import WeightedRetrainingOptimizer
    from wrlso.rules.filters import Filters

__all__ = ["init"]


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
) -> list[str]:
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
        *([best_line(opt.history_, aims, flat=is_flat(opt.notes_))] if opt.history_.n_observed else []),
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


def _reading_notes(model: Any, salts: str | None) -> dict[str, str]:
    """Return what a campaign notes of how its model reads molecules."""
    flat = {"stereo": "no"} if getattr(model, "stereo", None) is False else {}
    return flat if salts is None else flat | {"salts": salts}
