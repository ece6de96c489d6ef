"""The optimizer as a search algorithm of Ray Tune."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from wrlso._state.reading import read_value
from wrlso.adapters.direction import check_direction, check_optimizer
from wrlso.exceptions import DataError, NoCandidateError, ParameterError, ParameterTypeError, StorageError
from wrlso.optimizer import WeightedRetrainingOptimizer
from wrlso.storage.info import campaign_info

try:
    from ray.tune.search import Searcher
except ImportError:  # the class can be looked at without Ray, and says what is missing when it is made
    Searcher = object

__all__ = ["TuneSearch"]

_CAMPAIGN, _TRIALS = "campaign", "trials.json"
_MODES = {"maximize": "max", "minimize": "min"}


class TuneSearch(Searcher):
    """Proposes the objects that Ray Tune's trials evaluate: each trial finds one in its configuration.

    Give it to ``tune.TuneConfig(search_alg=…)``; inside of ``tune.search.ConcurrencyLimiter`` no more trials
    are out at once than you want. Tune saves and restores it together with its experiment.

    A trial that ends with an error, or without a finite value, is an experiment that failed; one that is
    stopped before it has reported anything is released. A trial that a scheduler stops early counts with
    what it reported last.

    Parameters
    ----------
    opt : WeightedRetrainingOptimizer
        With starting data.
    metric : str
        What trials report as the value.
    name : str, default="x"
        Under which name a trial's configuration holds the object.

    Attributes
    ----------
    opt : WeightedRetrainingOptimizer
        After :meth:`restore` another object than was given.

    Raises
    ------
    ModuleNotFoundError
        When Ray Tune is not installed.

    Examples
    --------
    ::

        search = TuneSearch(molecule_search(smiles, values), metric="activity")
        tuner = tune.Tuner(
            lambda config: {"activity": assay(config["x"])},
            tune_config=tune.TuneConfig(
                metric="activity", mode="max", search_alg=ConcurrencyLimiter(search, 8), num_samples=100
            ),
        )
        tuner.fit()
    """

    _metric: str

    def __init__(self, opt: WeightedRetrainingOptimizer, metric: str, *, name: str = "x") -> None:
        if Searcher is object:
            raise ModuleNotFoundError(
                "TuneSearch needs the package ray: pip install 'wrlso[ray]'", name="ray"
            )
        check_optimizer(opt)
        if not isinstance(metric, str):
            raise ParameterTypeError(f"metric must be a text, got {metric!r}")
        super().__init__(metric=metric, mode=_MODES[opt.direction])
        self.opt: WeightedRetrainingOptimizer = opt
        self.name = name
        self._rows: dict[str, int] = {}  # trials that run, and the records of their objects
        self._found_none = False

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Return False: what ``param_space`` leaves open is not searched.

        Raises ParameterError for a mode that is not the optimizer's, or another metric.
        """
        if mode is not None:
            wanted = {short: long for long, short in _MODES.items()}[mode]
            check_direction(self.opt, f"TuneConfig has mode={mode!r}", wanted)
        if metric is not None and metric != self._metric:
            raise ParameterError(f"metric must be {self._metric!r} as in TuneSearch, got {metric!r}")
        return False

    def suggest(self, trial_id: str) -> Any:
        """Return ``{name: x}``; None while nothing new is found but trials run, "FINISHED" if none does."""
        if self._found_none and self._rows:
            return None  # until a result has come, a search would find as little as the last one did
        try:
            x = self.opt.ask()
        except NoCandidateError:
            self._found_none = True
            return None if self._rows else Searcher.FINISHED
        self._rows[trial_id] = self.opt.history_.row(self.opt.model_.key(x)) or 0
        return {self.name: x}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell what a trial found, once: its object must still be pending."""
        row = self._rows.pop(trial_id, None)
        if row is None:
            return
        self._found_none = False
        record = self.opt.history_.records[row]
        if record.status != "pending":
            return
        if result is None and not error:
            self.opt.release(record.x)
        else:
            self._tell(record.x, None if error else (result or {}).get(self._metric), f"trial {trial_id}")

    def add_evaluated_point(
        self, parameters: dict[str, Any], value: Any, error: bool = False, pruned: bool = False, **_: Any
    ) -> None:
        """Tell a point that was evaluated elsewhere."""
        self._tell(parameters[self.name], None if error else value, "a trial elsewhere")

    def _tell(self, x: Any, value: Any, what: str) -> None:
        try:
            self.opt.tell(x, read_value(value), reason=f"{what} gave no value")
        except DataError as problem:
            self.opt.tell(x, None, reason=f"{what}: {problem}")

    def save(self, checkpoint_path: str | Path) -> None:
        """Write all that is known to one file, from which :meth:`restore` continues bit for bit."""
        with TemporaryDirectory() as folder:
            campaign = Path(folder) / _CAMPAIGN
            self.opt.save(campaign)
            with ZipFile(checkpoint_path, "w", ZIP_DEFLATED, compresslevel=1) as file:
                for path in sorted(campaign.rglob("*")):
                    file.write(path, path.relative_to(folder))
                file.writestr(_TRIALS, json.dumps(self._rows))

    def restore(self, checkpoint_path: str | Path) -> None:
        """Continue from a file of :meth:`save`.

        Parts that the file cannot hold, such as a model's networks, are taken from the optimizer that this
        object was made with. Where that one commits to a campaign's folder, the campaign goes on as it is:
        it holds what came after the file was written.

        Raises
        ------
        StorageError
            When the file is missing, damaged, or something else.
        """
        with TemporaryDirectory() as folder:
            try:
                with ZipFile(checkpoint_path) as file:
                    file.extractall(folder)
                rows = json.loads((Path(folder) / _TRIALS).read_text(encoding="utf-8"))
            except (OSError, BadZipFile, ValueError) as problem:
                raise StorageError(
                    f"{checkpoint_path} is no file that TuneSearch has written: {problem}"
                ) from problem
            if self.opt._session.campaign is None:
                campaign = Path(folder) / _CAMPAIGN
                settings = self.opt.get_params(deep=False)
                parts = {name: settings[name] for name in campaign_info(campaign)["needs"]}
                parts["callbacks"] = settings["callbacks"]
                self.opt = type(self.opt).load(campaign, autosave=False, **parts)
        self._rows, self._found_none = rows, False
