"""Constructor arguments: what is refused, by a sentence that says what was expected and what came."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from wrlso import (
    VAE,
    CEMPIWeighting,
    DataError,
    LogExpectedImprovement,
    ModelError,
    ParameterError,
    ParameterTypeError,
    RankWeighting,
    SparseGP,
    Trainer,
    WeightedRetrainingOptimizer,
    WrlsoError,
    conv_vae,
    coordinate_vae,
)
from wrlso._utils.random import draw_seed, seed_of
from wrlso.campaign.model_names import make_model
from wrlso.tasks import Expressions, Shapes

X = (np.random.default_rng(0).random((12, 6)) < 0.5).astype(np.uint8)
Y = X.sum(axis=1).astype(float)


def optimizer(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = {"encoder": nn.Linear(6, 4), "decoder": nn.Linear(2, 6)}
    if "model" in options:
        networks = {}
    return WeightedRetrainingOptimizer(
        **(networks | {"random_state": 0, "trainer": Trainer(initial_epochs=1)} | options)
    )


# ---------------------------------------------------------------- seeds

SEEDED = {
    "optimizer": lambda seed: optimizer(random_state=seed).fit(X, Y),
    "conv_vae": lambda seed: conv_vae(image_size=16, random_state=seed),
    "coordinate_vae": lambda seed: coordinate_vae(image_size=16, random_state=seed),
    "shapes": lambda seed: Shapes(subset=5).initial_data(seed),
    "shapes model": lambda seed: Shapes().model(seed),
    "formulas": lambda seed: Expressions(n_start=5).initial_data(seed),
    "formulas model": lambda seed: Expressions().model(seed),
    "model by name": lambda seed: make_model("selfies", seed),
    "draw_seed": draw_seed,
    "seed_of": seed_of,
}


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (-1, ParameterError),
        (2**32, ParameterError),
        (2**40, ParameterError),
        (10**400, ParameterError),
        ("a", ParameterTypeError),
        (1.5, ParameterTypeError),
        (True, ParameterTypeError),
        ([1, 2], ParameterTypeError),
        (math.nan, ParameterTypeError),
        (np.random.default_rng(0), ParameterTypeError),
    ],
)
def test_seeds_follow_one_rule(name, seed, error):
    expected = (
        r"random_state must be None, an integer in \[0, 4294967295\] or a numpy.random.RandomState, got "
    )
    with pytest.raises(error, match=expected):
        SEEDED[name](seed)


@pytest.mark.parametrize(
    "seed", [None, 0, 2**32 - 1, np.int64(7), np.uint32(2**32 - 1), np.random.RandomState(3)]
)
def test_seeds_that_scikit_learn_takes(seed):
    assert 0 <= draw_seed(seed) < 2**31
    assert 0 <= seed_of(seed) < 2**32
    assert optimizer(random_state=seed).fit(X, Y).ask().shape == (6,)


def test_a_seed_set_later_is_checked_before_anything_changes():
    opt = optimizer().fit(X, Y)
    opt.random_state = -1
    for call in (opt.ask, lambda: opt.tell(X[0], 1.0), lambda: opt.fit(X, Y)):
        with pytest.raises(ParameterError, match="random_state must be"):
            call()
    assert opt.history_.n_observed == len({x.tobytes() for x in X})
    assert not opt.pending_


# ---------------------------------------------------------------- classes in place of objects


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("acquisition", LogExpectedImprovement),
        ("surrogate", SparseGP),
        ("trainer", Trainer),
        ("weighting", RankWeighting),
        ("weighting", CEMPIWeighting),
        ("model", VAE),
        ("encoder", nn.Linear),
        ("decoder", nn.Linear),
        ("codec", type("Codec", (), {"transform": None})),
    ],
)
def test_a_class_in_place_of_an_object(name, part):
    opt = optimizer(**{name: part})
    message = (
        rf"{name} must be an object, got the class {part.__name__}: make one, as {part.__name__}\(\.\.\.\)"
    )
    with pytest.raises(ParameterTypeError, match=message):
        opt.fit(X, Y)
    assert opt._session.learned is None


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([nn.Linear], r"callbacks\[0\] must be an object"),
        (3, "must be a sequence"),
        ("ab", "must be a sequence"),
    ],
)
def test_callbacks_that_are_none(callbacks, message):
    with pytest.raises(ParameterTypeError, match=message):
        optimizer(callbacks=callbacks).fit(X, Y)


# ---------------------------------------------------------------- devices


@pytest.mark.parametrize("device", ["cuda:99", "meta", "xpu:7", "nonsense", None, 1.5])
def test_a_device_that_is_not_there(device):
    opt = optimizer(device=device)
    with pytest.raises(ParameterError, match="device must be .*got "):
        opt.fit(X, Y)
    assert opt._session.learned is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", torch.device("cuda"), "cuda:0"])
def test_a_gpu_that_is_not_there(device):
    with pytest.raises(
        ParameterError, match="device must be one that this machine has .*'cpu' is always there"
    ):
        optimizer(device=device).fit(X, Y)


# ---------------------------------------------------------------- feasible


@pytest.mark.parametrize(
    "verdict",
    [True, np.True_, np.array(True), torch.tensor(True)],
    ids=["bool", "NumPy", "array", "tensor"],
)
def test_feasible_says_yes_or_no(verdict):
    assert optimizer(feasible=lambda x: verdict).fit(X, Y).ask().shape == (6,)
    no = verdict if verdict is not True else False
    no = False if no is False else no & False
    with pytest.raises(WrlsoError, match="infeasible"):
        optimizer(feasible=lambda x: no).fit(X, Y).ask()


@pytest.mark.parametrize(
    "verdict",
    [
        math.nan, np.nan, None, "yes", "", 1, 0, 0.0, [], [True], np.array([True]), np.array([True, False]),
        torch.tensor([True]), torch.tensor(1.0), np.array(np.nan), RankWeighting,
    ],
    ids=repr,
)  # fmt: skip
def test_feasible_that_says_neither(verdict):
    opt = optimizer(feasible=lambda x: verdict).fit(X, Y)
    with pytest.raises(
        ParameterTypeError, match="feasible must return True or False, got .* of type .*x was"
    ):
        opt.ask()
    assert not opt.pending_


@pytest.mark.parametrize(
    "error", [ValueError("odd"), KeyError("odd"), DataError("odd"), ZeroDivisionError("odd")]
)
def test_feasible_that_raises(error):
    def feasible(x):
        raise error

    opt = optimizer(feasible=feasible).fit(X, Y)
    with pytest.raises(ParameterError, match=f"but raised {type(error).__name__}: '?odd'?; x was") as caught:
        opt.ask()
    assert caught.value.__cause__ is error
    assert not opt.pending_


def test_a_model_that_lacks_what_it_needs():
    with pytest.raises(ModelError, match="model must be a LatentModel; object lacks tensorize"):
        optimizer(model=object()).fit(X, Y)
