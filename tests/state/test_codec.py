"""The classes that a campaign can store: each is found by its name, and nothing else is."""

import dataclasses
import json
import pkgutil
import sys
from collections import Counter
from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone

import wrlso
from wrlso import FeatureGP, LogExpectedImprovement, MorganCounts, SparseGP, TanimotoGP
from wrlso._state import codec
from wrlso._state.codec import _CLASSES, dump, dump_json, load, load_json
from wrlso.exceptions import StorageError
from wrlso.models import DerivationFragments
from wrlso.surrogate.transforms import Standardize

NOT_STORED = {
    "WeightedRetrainingOptimizer",  # it is the one that stores
    "SeveralGoals",  # a base, without a score of its own
    "BoTorchAcquisition",  # holds a user's function: load(acquisition=...)
}


def classes():
    """Every estimator and dataclass of the package, by its name; benchmarks are stored in no campaign."""
    found = []
    for module in pkgutil.walk_packages(wrlso.__path__, "wrlso."):
        if module.name.startswith("wrlso.benchmarks") or module.name == "wrlso.__main__":
            continue
        for value in vars(import_module(module.name)).values():
            own = isinstance(value, type) and value.__module__ == module.name
            if own and (issubclass(value, BaseEstimator) or dataclasses.is_dataclass(value)):
                found.append(value)
    return found


def place(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def test_every_name_is_that_of_a_class_where_the_table_says():
    assert set(_CLASSES.values()) <= {place(cls) for cls in classes()}


def test_every_estimator_can_be_stored():
    estimators = {cls.__name__: place(cls) for cls in classes() if issubclass(cls, BaseEstimator)}
    public = {name: path for name, path in estimators.items() if not name.startswith("_")}
    assert {name: path for name, path in public.items() if _CLASSES.get(name) != path}.keys() == NOT_STORED


def test_no_other_class_has_the_name_of_one_that_is_stored():
    # what is known of one x is written as objects and events, never as this class
    n_classes = Counter(cls.__name__ for cls in classes() if place(cls) != "wrlso.history.Record")
    assert {name: n_classes[name] for name in _CLASSES} == dict.fromkeys(_CLASSES, 1)


def rows(n=12, d=3, seed=0):
    return np.random.default_rng(seed).random((n, d))


FEATURES = DerivationFragments("S -> S '+' T | T \n T -> 'x' | '1'", 32)
FORMULAS = ["x", "1", "x + x", "x + 1", "1 + x", "1 + 1", "x + x + x", "x + 1 + x"]
MOLECULES = ["CCO", "CCN", "CC=O", "C1CCCCC1", "CC(=O)N", "O=CN(C)C", "CCCC", "CCCO"]


@pytest.mark.parametrize(
    ("gp", "points"),
    [
        (SparseGP(5, max_iter=3), torch.from_numpy(rows(8))),
        (SparseGP(5, max_iter=3, transform="winsorize"), torch.from_numpy(rows(8))),
        (SparseGP(5, max_iter=3, transform="floor", kernel="matern52"), torch.from_numpy(rows(8))),
        (TanimotoGP(MorganCounts()), MOLECULES),
        (TanimotoGP(MorganCounts(), transform="standardize"), MOLECULES),
        (FeatureGP(FEATURES, SparseGP(4, max_iter=3)), FORMULAS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fitted_surrogate_holds_nothing_that_cannot_be_stored(gp, points):
    y = torch.from_numpy(rows(8)[:, 0])
    gp = clone(gp).fit(points, y, np.random.default_rng(0))
    for given in (gp, gp.condition_on(points[:2], y[:2])):
        for found, expected in zip(load(dump(given)).predict(points), given.predict(points), strict=True):
            assert torch.equal(found, expected)


def examples():
    """One object of each class."""
    floats = {"center": 0.5, "scale": 2.0}
    hyper = {"kernel": "rbf", "lengthscale": rows()[0], "outputscale": 2.0, "noise": 0.1}
    levels = {"keys": np.arange(4), "ends": np.arange(3)}
    made = {"Hyperparameters": hyper, "Levels": levels, "StructureKernel": {"linear": 0.2, "scale": 3.0}}
    arguments = made | {
        "AtLeast": {"name": "a", "limit": 0.1},
        "AtMost": {"name": "a", "limit": -0.0, "unit": "µM"},
        "Behaviour": {"points": rows()[0]},
        "DerivationFragments": {"grammar": "S -> 'x' | S '+' 'x'"},
        "FeatureGP": {"features": class_of("MorganCounts")(radius=2)},
        "Floor": floats,
        "GuacaMol": {"goal": "osimertinib"},
        "Logarithm": floats | {"lower": -1.0, "least": 0.5, "width": 3.0, "offset": 0.1},
        "Maximize": {"name": "a", "reference": 0.1},
        "Minimize": {"name": "a"},
        "Mixture": {"parts": [LogExpectedImprovement(xi=0.1)], "turns": [2]},
        "Molecules": {"function": wrlso.rank_weights},  # a function that a campaign can name
        "OracleGrid": {"objective": wrlso.rank_weights},
        "Posterior": {
            "hyper": class_of("Hyperparameters")(**hyper),
            **{name: torch.from_numpy(rows(seed=i)) for i, name in enumerate("ULRhc")},
            **{name: torch.ones(3) for name in ("lengthscale", "center")},
            "mean": -0.0,
        },
        "Record": {"name": "a"},
        "SizeRange": {"search": class_of("CandidatePool")(30), "margin": 1.5},
        "Robust": floats,
        "Standardize": floats,
        "TanimotoPosterior": {
            "levels": class_of("Levels")(**levels),
            "kernel": class_of("StructureKernel")(**made["StructureKernel"]),
            "t": rows()[0],
            "blocks": (1, 2),
            "signal": 1.0,
            "ratio": 0.5,
            "mean": float("inf"),
            "n_features": 7,
        },
        "Winsorize": floats | {"lower": -1.0},
    }
    return {name: class_of(name)(**arguments.get(name, {})) for name in _CLASSES}


def class_of(name):
    module, _, attribute = _CLASSES[name].rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", sorted(_CLASSES))
def test_what_is_stored_under_every_name_comes_back(name):
    value = examples()[name]
    if isinstance(value, BaseEstimator):
        value.learned_ = rows()
    for again in (load(dump(value)), load_json(dump_json(value))):
        assert type(again) is type(value)
        assert vars(again).keys() == vars(value).keys()
        assert dump(again) == dump(value)
    parameters = load_json(dump_json(value, parameters=True))
    assert type(parameters) is type(value)
    assert json.loads(dump_json(value))["class"] == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "bomb", "bomb.Bomb", "os.system", "Event", "WeightedRetrainingOptimizer", "_MoleculeTask"),
        *("SparseGP.fit", "wrlso.SparseGP", "wrlso.surrogate.sparse_gp.SparseGP", "Study", "codec", None, []),
    ],
)
def test_a_file_that_names_something_else_is_refused_and_nothing_is_imported(name, tmp_path, monkeypatch):
    (tmp_path / "bomb.py").write_text("class Bomb:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    with pytest.raises(StorageError, match="a stored value is damaged, or of a newer version of wrlso"):
        load_json(json.dumps({"!": "object", "class": name, "state": {}}))
    assert set(sys.modules) == before


def test_a_class_that_was_renamed_is_found_by_its_former_name(monkeypatch):
    data = dump(Standardize(1.0, 2.0)).replace(b'"Standardize"', b'"Standardise"')
    with pytest.raises(StorageError, match="Standardise"):
        load(data)
    monkeypatch.setitem(codec._FORMER_NAMES, "Standardise", "Standardize")
    assert load(data) == Standardize(1.0, 2.0)
    assert set(codec._FORMER_NAMES.values()) <= set(_CLASSES)
    assert not set(codec._FORMER_NAMES) & set(_CLASSES)
