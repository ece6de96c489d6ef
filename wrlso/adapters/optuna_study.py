"""Objects as trials of an Optuna study."""

import math
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from wrlso._state.reading import read_value
from wrlso.adapters.direction import check_direction
from wrlso.exceptions import DataError, DataTypeError, ParameterError
from wrlso.optimizer import WeightedRetrainingOptimizer

__all__ = ["OptunaTrials"]

_X = "x"  # the user attribute that holds an object


class OptunaTrials:
    """Lets an optimizer propose the objects of an Optuna study, and tells it what the study's trials found.

    An object is no parameter of a trial: Optuna's parameters are numbers and choices that are known
    beforehand. It is the trial's user attribute ``x``, which the dashboard shows beside the value, together
    with where the object came from and the prediction made for it (``source``, ``predicted``,
    ``deviation``). The study's storage holds everything: a new process that makes an optimizer from the same
    starting data, and this object from the same study, goes on with all that the trials found.

    Several processes may work on one study, each with an optimizer of its own; each reads the others'
    results. A campaign's folder belongs to one of them.

    Parameters
    ----------
    study : optuna.Study
        Of one value, with the optimizer's direction.
    opt : WeightedRetrainingOptimizer
        With starting data. Finished trials that it does not know are told to it at once.
    write : callable x → value, default=None
        Makes something of x that JSON can hold. None: texts, numbers, arrays, and lists and tuples of them
        are written as they are.
    read : callable value → x, default=None
        The reverse. None: as the first x of the starting data is (an array of its dtype, or a tuple).

    Raises
    ------
    ParameterError, ParameterTypeError
        When the study has several values or the other direction.
    NotFittedError
        When the optimizer has no data.

    Examples
    --------
    Inside ``study.optimize``::

        trials = OptunaTrials(study, opt)
        study.optimize(lambda trial: assay(trials.suggest(trial)), n_trials=100, callbacks=[trials])

    Or by hand, over weeks::

        trial = trials.ask()
        trials.tell(trial, assay(trial.user_attrs["x"]))
    """

    def __init__(
        self,
        study: Any,
        opt: WeightedRetrainingOptimizer,
        *,
        write: Callable[[Any], Any] | None = None,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        directions = [direction.name.lower() for direction in study.directions]
        if len(directions) != 1:
            raise ParameterError(f"study must have one value, got one with {len(directions)}")
        check_direction(opt, f"the study has direction={directions[0]!r}", directions[0])
        self.study = study
        self.opt = opt
        like = opt.history_.records[0].x
        self._write = write or _written
        self._read: Callable[[Any], Any] = read or (lambda value: _alike(value, like))
        self._keys: dict[int, Hashable | None] = {}  # of finished trials by number; None: not readable
        self._lock = threading.RLock()
        self.pull()

    def suggest(self, trial: Any) -> Any:
        """Return the object of a trial: a new one, or the one that the trial was enqueued with.

        ``study.enqueue_trial({}, user_attrs={"x": x})`` puts an object of your own among the trials.

        Parameters
        ----------
        trial : optuna.Trial

        Raises
        ------
        NoCandidateError
            As in :meth:`wrlso.WeightedRetrainingOptimizer.ask`.
        DataError
            For an enqueued x that the model cannot read.
        DataTypeError
            When JSON cannot hold x: give ``write`` and ``read``.
        """
        if _X in trial.user_attrs:
            x = self._read(trial.user_attrs[_X])
            self.opt.model_.tensorize([x])  # an error now, not when the experiment is done
            return x
        self.pull()
        x = self.opt.ask()
        try:
            for name, value in self._attributes(x).items():
                trial.set_user_attr(name, value)
        except BaseException:
            self.opt.release(x)
            raise
        return x

    def ask(self) -> Any:
        """Return a trial of the study that has an object: ``trial.user_attrs["x"]``, as it was written."""
        trial = self.study.ask()
        try:
            self.suggest(trial)
        except BaseException:
            self.study.tell(trial, state=_failed())
            raise
        return trial

    def tell(self, trial: Any, y: float | None) -> None:
        """Finish a trial; None or NaN: it failed.

        The reason of a failure is the trial's user attribute ``reason``, where there is one.

        Parameters
        ----------
        trial : optuna.Trial or int
            From :meth:`ask`, or the number of a trial that runs.
        y : float or None
            In the user's sign.

        Raises
        ------
        DataError, DataTypeError
            For a y that is no finite number. Nothing changes.
        """
        value = read_value(y)
        if value is None:
            self.study.tell(trial, state=_failed())
        else:
            self.study.tell(trial, value)
        self.pull()

    def __call__(self, study: Any, trial: Any) -> None:
        """Take in a result, as a callback of ``study.optimize``."""
        self.pull()

    def pull(self) -> int:
        """Tell the optimizer what finished trials found, in this process or another, and return how many.

        Trials that failed, were pruned or have no finite value are failed experiments.
        """
        with self._lock:
            ours = [t for t in self.study.get_trials(deepcopy=False) if _X in t.user_attrs]
            finished = [t for t in ours if t.state.is_finished()]
            finished.sort(key=lambda trial: (trial.datetime_complete, trial.number))
            events = self.opt.history_.events
            told = Counter(event.row for event in events if event.kind == "tell")
            n_new = 0
            for trial in finished:
                key = self._key(trial)
                row = None if key is None else self.opt.history_.row(key)
                if row is not None and told[row] > 0:
                    told[row] -= 1
                elif key is not None:
                    value, reason = _found(trial)
                    self.opt.tell(self._read(trial.user_attrs[_X]), value, reason=reason)
                    n_new += 1
            return n_new

    def _key(self, trial: Any) -> Hashable | None:
        """Return the identity of a trial's object, None where the model cannot read it."""
        if trial.number not in self._keys:
            model, x = self.opt.model_, self._read(trial.user_attrs[_X])
            try:
                model.tensorize([x])
                self._keys[trial.number] = model.key(x)
            except DataError:
                self._keys[trial.number] = None
        return self._keys[trial.number]

    def _attributes(self, x: Any) -> dict[str, Any]:
        """Return what a trial shows of an object that was asked for."""
        key = self.opt.model_.key
        written = self._write(x)
        if key(self._read(written)) != key(x):
            raise DataTypeError(
                f"x must come back the same from JSON, got {self._read(written)!r:.80} for {x!r:.80}: give "
                f"write= and read= that turn it into what JSON can hold, and back"
            )
        record = self.opt.history_.records[self.opt.history_.row(key(x)) or 0]
        found = {_X: written, "source": record.source}
        if record.prediction is not None:
            found |= dict(zip(("predicted", "deviation"), map(float, record.prediction), strict=True))
        return found


def _found(trial: Any) -> tuple[float | None, str | None]:
    """Return the value of a finished trial, or None and why there is none."""
    state = trial.state.name.lower()
    if state == "complete" and math.isfinite(trial.value):
        return float(trial.value), None
    what = f"is {trial.value}" if state == "complete" else f"has state {state}"
    return None, str(trial.user_attrs.get("reason", f"trial {trial.number} {what}"))


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _written(x: Any) -> Any:
    """Return an object as JSON can hold it."""
    if isinstance(x, np.ndarray | np.generic):
        x = x.tolist()
    if isinstance(x, list | tuple):
        return [_written(part) for part in x]
    if x is None or isinstance(x, str | int | float):
        return x
    raise DataTypeError(
        f"x must be a text, a number, an array, or a list or tuple of these, got {type(x).__name__}: give "
        f"write= and read= that turn it into what JSON can hold, and back"
    )


def _alike(value: Any, like: Any) -> Any:
    """Return what was written in the form of another object."""
    if isinstance(like, np.ndarray):
        return np.array(value, dtype=like.dtype)
    return _tuples(value) if isinstance(like, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
