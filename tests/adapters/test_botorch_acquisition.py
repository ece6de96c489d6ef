"""A loop of BoTorch over the candidates of this library."""

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words

from wrlso import (
    CandidatePool,
    DataError,
    DataTypeError,
    GrammarVAE,
    ModelError,
    ParameterError,
    ParameterTypeError,
    SparseGP,
    Trainer,
    WeightedRetrainingOptimizer,
)
from wrlso.adapters import BoTorchAcquisition
from wrlso.testing import check_acquisition
from wrlso.testing.grid import grid_state


def nearest(choice):
    """Choose the candidates nearest to the best point."""
    best = choice.points[choice.y[:, 0].argmax()]
    return (choice.candidates - best).norm(dim=1).argsort()[: choice.n]


def shuffled(choice):
    """Choose at random, from torch's global generator."""
    return choice.candidates[torch.randperm(len(choice.X))[: choice.n]]


def with_botorch(choice):
    """Noisy expected improvement over an exact process, as a user of BoTorch writes it."""
    from botorch.acquisition import qLogNoisyExpectedImprovement
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf_discrete

    model = SingleTaskGP(choice.points, choice.y)
    acquisition = qLogNoisyExpectedImprovement(model, choice.points, X_pending=choice.pending)
    return optimize_acqf_discrete(acquisition, q=choice.n, choices=choice.candidates)[0]


def fit(choose, **options):
    acquisition = BoTorchAcquisition(choose, **({"pool": CandidatePool(60, generations=2)} | options))
    X = words()
    return make_optimizer(acquisition=acquisition, trainer=Trainer(initial_epochs=3)).fit(X, X.sum(axis=1))


@pytest.mark.parametrize("choose", [nearest, shuffled])
def test_the_contract_holds(choose):
    check_acquisition(BoTorchAcquisition(choose))


@pytest.mark.filterwarnings("default")
def test_a_loop_of_botorch():
    pytest.importorskip("botorch", reason="needs botorch: pip install 'wrlso[adapters]'")
    opt = fit(with_botorch)
    start = opt.best_y_
    state = torch.get_rng_state()
    for _ in range(3):
        X = opt.ask(2)
        opt.tell(X, np.sum(X, axis=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert opt.best_y_ > start
    assert all(record.source for record in list(opt.history_)[40:])


def test_what_there_is_to_choose_from():
    seen = []

    def choose(choice):
        seen.append(choice)
        return nearest(choice)

    opt = fit(choose)
    x = opt.ask()
    opt.ask(3)
    first, second = seen
    assert torch.equal(first.y[:, 0], torch.as_tensor(opt.y_))
    encoded = opt.model_.encode(opt.model_.tensorize(opt.X_)).detach().double()
    torch.testing.assert_close(first.points, encoded, rtol=1e-5, atol=1e-5)  # of batches
    assert (len(first.pending), len(second.pending), second.n) == (0, 1, 3)
    key = opt.model_.key
    keys = {key(x) for x in second.X}
    assert len(keys) == len(second.X) == len(second.candidates)
    assert not keys & {key(x) for x in opt.X_}
    assert key(x) not in keys
    again = opt.model_.encode(opt.model_.tensorize(second.X)).detach().double()
    torch.testing.assert_close(second.candidates, again, rtol=1e-5, atol=1e-5)


def test_larger_is_better_where_the_optimizer_minimises():
    seen = []
    acquisition = BoTorchAcquisition(lambda choice: seen.append(choice) or nearest(choice))
    X = words()
    opt = make_optimizer(acquisition=acquisition, direction="minimize").fit(X, X.sum(axis=1))
    opt.ask()
    assert torch.equal(seen[0].y[:, 0], -torch.as_tensor(opt.y_))


def test_points_and_their_numbers_are_the_same_choice():
    by_number = fit(nearest).ask(3)
    by_point = fit(lambda choice: choice.candidates[nearest(choice)]).ask(3)
    assert all(np.array_equal(a, b) for a, b in zip(by_number, by_point, strict=True))


def test_features_of_the_model():
    seen = []

    def choose(choice):
        seen.append(choice)
        return nearest(choice)

    model = GrammarVAE("S -> 'x' | S '+' 'x' | S '*' 'x'", latent_dim=2, max_rules=12)
    X = ["x", "x + x", "x * x", "x + x + x", "x * x + x", "x + x * x"]
    opt = WeightedRetrainingOptimizer(
        model=model,
        acquisition=BoTorchAcquisition(choose, on="features", pool=CandidatePool(40)),
        surrogate=SparseGP(),
        trainer=Trainer(initial_epochs=5),
        random_state=0,
    ).fit(X, [1.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    opt.ask()
    opt.ask()
    choice = seen[1]
    assert np.array_equal(choice.points.numpy(), opt.model_.features(opt.X_))
    assert np.array_equal(choice.candidates.numpy(), opt.model_.features(choice.X))
    assert np.array_equal(choice.pending.numpy(), opt.model_.features(opt.pending_[:1]))


def test_each_argument_has_its_effect():
    assert not np.array_equal(fit(nearest).ask(), fit(lambda choice: nearest(choice) * 0 + 5).ask())
    latent, features = [], []
    fit(lambda choice: latent.append(choice) or nearest(choice)).ask()
    fit(lambda choice: features.append(choice) or nearest(choice), on="features").ask()
    assert latent[0].points.shape != features[0].points.shape
    wide = fit(shuffled, pool=CandidatePool(200))
    assert not np.array_equal(fit(shuffled).ask(), wide.ask())


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (None, DataTypeError, "choose must return a tensor, got NoneType"),
        (torch.tensor([0, 0]), DataError, "choose must return 2 different numbers of the"),
        (torch.tensor([0, 10_000]), DataError, "got \\[0, 10000\\]"),
        (torch.tensor([0]), DataError, "choose must return 2 rows of the candidates"),
        (torch.zeros(2, 7), DataError, "got a tensor of shape \\(2, 7\\)"),
        (torch.full((2, 3), 99.0), DataError, "different rows of choice.candidates"),
    ],
)
def test_a_choice_that_is_none(returned, error, message):
    opt = fit(lambda choice: returned)
    with pytest.raises(error, match=message):
        opt.ask(2)
    assert opt.pending_ == []


def test_wrong_arguments():
    with pytest.raises(ParameterTypeError, match="choose must be a callable Choice → Tensor, got 3"):
        fit(3).ask()
    with pytest.raises(ParameterError, match="on must be one of 'latent', 'features', got 'z'"):
        fit(nearest, on="z").ask()
    with pytest.raises(ParameterTypeError, match="pool must be a CandidatePool or None, got 7"):
        fit(nearest, pool=7).ask()
    with pytest.raises(ModelError, match="Grid has no method features: use on='latent'"):
        BoTorchAcquisition(nearest, on="features").propose(grid_state(), 1, np.random.default_rng(0))


def test_a_campaign_is_given_the_function_again(tmp_path):
    opt = fit(nearest)
    opt.ask(2)
    opt.save(tmp_path / "campaign")
    networks = {"encoder": opt.encoder, "decoder": opt.decoder}
    with pytest.raises(ParameterError, match="acquisition"):
        WeightedRetrainingOptimizer.load(tmp_path / "campaign", **networks)
    again = WeightedRetrainingOptimizer.load(
        tmp_path / "campaign", **networks, acquisition=opt.acquisition, autosave=False
    )
    assert np.array_equal(again.ask(), opt.ask())
