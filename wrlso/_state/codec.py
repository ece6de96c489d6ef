"""Values as bytes and back, without pickle: JSON, raw arrays, and this library's own classes by name.

Reading creates only numbers, texts, containers, arrays and objects of the classes listed here. It never
calls a function that a file names. torch and scikit-learn are imported when such a value comes up, and not
before: records and events, which are numbers, texts and arrays, are read without them.
"""

import base64
import dataclasses
import json
import math
import sys
import types
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from wrlso.exceptions import DataTypeError, StorageError

__all__ = ["GONE", "Foreign", "dump", "dump_json", "is_alike", "is_own", "load", "load_json"]

_TAG = "!"
_DAMAGE = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip
_WEIGHTING = "wrlso.weighting"  # whose functions a file can name
# Former name → present name of a class that was renamed: files of earlier versions hold the former one.
_FORMER_NAMES: dict[str, str] = {}
# Classes and values of parameters that are gone. What was learned with them is of no use; a parameter that
# has one takes its default.
_GONE_CLASSES = ("NormalScores", "TrustRegion")
_GONE_VALUES = {"transform": ("rank",)}
# All that a file can name, and where it is defined. A class that moves keeps its name here.
_CLASSES = {
    name: f"wrlso.{module}.{name}"
    for module, names in {
        "_sequences.coding_rules": ["CodingRules"],
        "_sequences.rules": ["SequenceRules"],
        "acquisition.candidate_pool": ["CandidatePool"],
        "acquisition.functions": [
            "LogExpectedImprovement", "Mixture", "ThompsonSampling", "UpperConfidenceBound",
        ],
        "acquisition.latent_search": ["LatentSearch"],
        "acquisition.prior_sampling": ["PriorSampling"],
        "acquisition.several": ["LogHypervolumeImprovement", "LogParEGO"],
        "acquisition.size_range": ["SizeRange"],
        "acquisition.sources": ["Cross", "Mutate", "Near", "Prior", "Rewrite", "Splice"],
        "acquisition.ask_record": ["AskRecord"],
        "models.fragments": ["DerivationFragments"],
        "outcomes": ["AtLeast", "AtMost", "Maximize", "Minimize", "Record"],
        "rules.filters": ["Filters"],
        "surrogate.auto": ["AutoSurrogate"],
        "surrogate.botorch_surrogate": ["BoTorchSurrogate"],
        "surrogate.feature_gp": ["FeatureGP"],
        "surrogate.kernels": ["Hyperparameters"],
        "surrogate.minmax_kernel": ["Levels"],
        "surrogate.morgan": ["MorganCounts"],
        "surrogate.pair_counts": ["PairCounts"],
        "surrogate.sparse_gp": ["SparseGP"],
        "surrogate.sparse_posterior": ["Posterior"],
        "surrogate.tanimoto_gp": ["TanimotoGP"],
        "surrogate.tanimoto_posterior": ["StructureKernel", "TanimotoPosterior"],
        "surrogate.transforms": ["Floor", "Logarithm", "Robust", "Standardize", "Winsorize"],
        "tasks.expressions.behaviour": ["Behaviour"],
        "tasks.expressions.task": ["Expressions"],
        "tasks.molecules.tasks": ["QED", "GuacaMol", "Molecules", "PenalizedLogP"],
        "tasks.shapes": ["CopiedRankWeighting", "OracleGrid", "Shapes"],
        "tasks.sequences.ehrlich": ["Ehrlich"],
        "tasks.sequences.rna": ["FreeEnergy", "InverseFolding"],
        "training.schedules": ["GeometricBeta"],
        "training.trainer": ["Trainer"],
        "weighting": [
            "CEMPIWeighting", "DbASWeighting", "RWRWeighting", "RankWeighting", "Schedule",
            "UniformWeighting",
        ],
    }.items()
    for name in names
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Stands for a user's object that a file cannot hold."""

    type_name: str


GONE = Foreign("gone")  # what is read where only a former version has a class for it


def is_own(value: Any) -> bool:
    """Whether the value is an object of one of this library's storable classes."""
    cls = type(value)
    return _CLASSES.get(cls.__name__) == f"{cls.__module__}.{cls.__qualname__}"


def _class_named(name: str) -> type | None:
    """Return the estimator or dataclass of this library that a file names."""
    module, _, attribute = _CLASSES.get(_FORMER_NAMES.get(name, name), "").rpartition(".")
    return getattr(import_module(module), attribute) if module else None


def _function_named(name: str) -> Any:
    """Return the weighting function that a file names."""
    module = import_module(_WEIGHTING)
    if name not in module.__all__:
        raise ValueError(f"it names {name!r:.80}, which is no weighting function of wrlso")
    return getattr(module, name)


def _botorch_name(value: Any) -> str | None:
    """Return the name of a model class of BoTorch; None for anything else."""
    models = sys.modules.get("botorch.models")  # without it nothing is one of its classes
    if models is None or not isinstance(value, type) or value.__name__ not in models.__all__:
        return None
    return value.__name__ if getattr(models, value.__name__) is value else None


def _botorch_named(name: str) -> Any:
    """Return the model class of BoTorch that a file names."""
    models = import_module("botorch.models")
    if name not in models.__all__:
        raise ValueError(f"it names {name!r:.80}, which is no model of botorch.models")
    return getattr(models, name)


def _is_weighting_function(value: Any) -> bool:
    module = sys.modules.get(_WEIGHTING)  # without it nothing is one of its functions
    if module is None or not isinstance(value, types.FunctionType):
        return False
    return value.__name__ in module.__all__ and getattr(module, value.__name__) is value


def dump_json(value: Any, *, parameters: bool = False, foreign: bool = False) -> str:
    """Return a value without arrays as one line of JSON; see :func:`dump`."""
    return json.dumps(_Packer(None, parameters, foreign).pack(value), allow_nan=False)


def is_alike(part: Any, wanted: Any) -> bool:
    """Whether a part has the wanted class and parameters; foreign values are equal when their types are."""
    if type(part) is not type(wanted):
        return False
    mine, theirs = (dump_json(one, parameters=True, foreign=True) for one in (part, wanted))
    return mine == theirs


def load_json(text: str) -> Any:
    """Return what :func:`dump_json` was given."""
    return _reading(lambda: _unpack(json.loads(text), []))


def dump(value: Any, *, foreign: bool = False) -> bytes:
    """Return a value as bytes: numbers, texts, containers, arrays, tensors, the library's own objects.

    Raises
    ------
    DataTypeError
        For anything else, unless ``foreign``: then a :class:`Foreign` takes its place.
    """
    arrays: list[np.ndarray] = []
    packed = _Packer(arrays, parameters=False, foreign=foreign).pack(value)
    layout = [[array.dtype.str, array.shape] for array in arrays]
    header = json.dumps([packed, layout], allow_nan=False).encode()
    return b"".join([len(header).to_bytes(4, "little"), header, *(array.tobytes() for array in arrays)])


def load(data: bytes) -> Any:
    """Return what :func:`dump` was given, arrays as copies that may be written to."""

    def read() -> Any:
        start = 4 + int.from_bytes(data[:4], "little")
        packed, layout = json.loads(data[4:start])
        arrays: list[np.ndarray] = []
        for name, shape in layout:
            dtype = _checked_dtype(name)
            count = math.prod(shape)
            arrays.append(np.frombuffer(data, dtype, count, start).reshape(shape).copy())
            start += count * dtype.itemsize
        return _unpack(packed, arrays)

    return _reading(read)


def _is_estimator(cls: type) -> bool:
    base = sys.modules.get("sklearn.base")  # without it nothing is an estimator
    return base is not None and issubclass(cls, base.BaseEstimator)


def _reading(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except _DAMAGE as error:
        raise StorageError(f"a stored value is damaged, or of a newer version of wrlso: {error}") from error


def _checked_dtype(name: str) -> np.dtype:
    dtype = np.dtype(name)
    if dtype.kind not in "biufcUS":
        raise ValueError(f"an array of dtype {name}")
    return dtype


class _Packer:
    """Turns values into JSON types; arrays go to a separate list."""

    def __init__(self, arrays: list[np.ndarray] | None, parameters: bool, foreign: bool) -> None:
        self.arrays = arrays
        self.parameters = parameters  # store only the parameters of estimators, not their learned state
        self.foreign = foreign  # whether an object that cannot be stored becomes a Foreign

    def pack(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {_TAG: "float", "value": str(value)}
        if type(value) is list:
            return [self.pack(item) for item in value]
        if type(value) is dict and all(type(key) is str and key != _TAG for key in value):
            return {key: self.pack(item) for key, item in value.items()}
        if isinstance(value, Foreign):
            return {_TAG: "foreign", "type": value.type_name}
        packed = self._tagged(value)
        if packed is None:
            named = value if hasattr(value, "__qualname__") else type(value)
            module = getattr(named, "__module__", "builtins")  # methods of C have none
            name = f"{module}.{named.__qualname__}"
            if not self.foreign:
                raise DataTypeError(f"a campaign cannot store {value!r:.80} of type {name}")
            packed = {_TAG: "foreign", "type": name}
        return packed

    def _tagged(self, value: Any) -> dict[str, Any] | None:
        if type(value) is tuple:
            return {_TAG: "tuple", "items": [self.pack(item) for item in value]}
        if type(value) is dict:
            return {_TAG: "dict", "items": [[self.pack(k), self.pack(v)] for k, v in value.items()]}
        if type(value) is bytes:
            return {_TAG: "bytes", "value": base64.b64encode(value).decode()}
        if isinstance(value, np.generic) and value.dtype.kind in "biufcUS":
            data = base64.b64encode(value.tobytes()).decode()
            return {_TAG: "scalar", "dtype": value.dtype.str, "value": data}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufcUS":
            return self._array("array", value)
        torch = sys.modules.get("torch")  # without it nothing is a tensor
        if torch is not None and isinstance(value, torch.Tensor):
            return self._array("tensor", value.detach().cpu().numpy())
        if torch is not None and isinstance(value, torch.device):
            return {_TAG: "device", "value": str(value)}
        if isinstance(value, np.random.RandomState):
            return {_TAG: "RandomState", "state": self.pack(value.get_state(legacy=False))}
        if _is_weighting_function(value):
            return {_TAG: "function", "name": value.__name__}
        if (name := _botorch_name(value)) is not None:
            return {_TAG: "botorch", "name": name}
        if is_own(value):
            state = {name: self.pack(item) for name, item in self._state(value).items()}
            return {_TAG: "object", "class": type(value).__name__, "state": state}
        return None

    def _array(self, kind: str, array: np.ndarray) -> dict[str, Any]:
        if self.arrays is None:
            data = base64.b64encode(array.tobytes()).decode()
            return {_TAG: kind, "dtype": array.dtype.str, "shape": list(array.shape), "value": data}
        transposed = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
        # keep the order in memory, because sums may depend on it in the last bit
        self.arrays.append(array.T if transposed else array)
        return {_TAG: kind, "index": len(self.arrays) - 1, "transposed": transposed}

    def _state(self, value: Any) -> dict[str, Any]:
        if self.parameters and _is_estimator(type(value)):
            return dict(value.get_params(deep=False))
        if dataclasses.is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dict(vars(value))


def _unpack(packed: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(packed, list):
        return [_unpack(item, arrays) for item in packed]
    if not isinstance(packed, dict):
        return packed
    if _TAG not in packed:
        return {key: _unpack(item, arrays) for key, item in packed.items()}
    return _READERS[packed[_TAG]](packed, arrays)


def _read_array(packed: dict[str, Any], arrays: list[np.ndarray]) -> np.ndarray:
    if "index" in packed:
        array: np.ndarray = arrays[packed["index"]]
        return array.T if packed["transposed"] else array
    dtype = _checked_dtype(packed["dtype"])
    flat: np.ndarray = np.frombuffer(base64.b64decode(packed["value"]), dtype)
    return flat.reshape(packed["shape"]).copy()


def _read_scalar(packed: dict[str, Any], _: list[np.ndarray]) -> Any:
    return np.frombuffer(base64.b64decode(packed["value"]), _checked_dtype(packed["dtype"]))[0]


def _read_random_state(packed: dict[str, Any], arrays: list[np.ndarray]) -> np.random.RandomState:
    random_state = np.random.RandomState()
    random_state.set_state(_unpack(packed["state"], arrays))
    return random_state


def _read_object(packed: dict[str, Any], arrays: list[np.ndarray]) -> Any:
    if packed["class"] in _GONE_CLASSES:
        return GONE
    cls: Any = _class_named(packed["class"])
    if cls is None:
        raise ValueError(f"it names {packed['class']!r:.80}, which is no class of wrlso that can be stored")
    state = {str(name): _unpack(item, arrays) for name, item in packed["state"].items()}
    if not all(name.isidentifier() and not name.startswith("__") for name in state):
        raise ValueError(f"a {cls.__name__} with impossible attributes")
    if _is_estimator(cls):
        # a parameter that the file lacks takes its default
        given = {name: state.pop(name) for name in set(cls._get_param_names()) & set(state)}
        created = cls(**{name: value for name, value in given.items() if not _is_gone(name, value)})
        # and those that this version no longer has are left out: what is learned is marked by an underscore
        state = {name: value for name, value in state.items() if "_" in (name[0], name[-1])}
        if any(value is GONE for value in state.values()):
            return GONE
    else:
        created = cls.__new__(cls)
        state = _missing(cls) | state
    for name, value in state.items():
        object.__setattr__(created, name, value)
    return created


def _missing(cls: Any) -> dict[str, Any]:
    """Return the defaults of a dataclass, for fields that files of before lack."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    plain = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    made = {f.name: f.default_factory() for f in fields if f.default_factory is not dataclasses.MISSING}
    return plain | made


def _is_gone(name: str, value: Any) -> bool:
    return value is GONE or (isinstance(value, str) and value in _GONE_VALUES.get(name, ()))


_READERS: dict[str, Callable[[dict[str, Any], list[np.ndarray]], Any]] = {
    "float": lambda packed, _: float(packed["value"]),
    "tuple": lambda packed, arrays: tuple(_unpack(packed["items"], arrays)),
    "dict": lambda packed, arrays: {_unpack(k, arrays): _unpack(v, arrays) for k, v in packed["items"]},
    "bytes": lambda packed, _: base64.b64decode(packed["value"]),
    "scalar": _read_scalar,
    "array": _read_array,
    "tensor": lambda packed, arrays: import_module("torch").from_numpy(_read_array(packed, arrays)),
    "device": lambda packed, _: import_module("torch").device(packed["value"]),
    "RandomState": _read_random_state,
    "function": lambda packed, _: _function_named(packed["name"]),
    "botorch": lambda packed, _: _botorch_named(packed["name"]),
    "object": _read_object,
    "foreign": lambda packed, _: Foreign(packed["type"]),
}
