"""Several goals: BoTorch's acquisition functions on samples of our processes; limits by probability."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words

from wrlso import (
    AtLeast,
    CandidatePool,
    LogExpectedImprovement,
    Maximize,
    Minimize,
    Mixture,
    ParameterError,
    PriorSampling,
    SparseGP,
    ThompsonSampling,
    UpperConfidenceBound,
)
from wrlso._state.merits import standing
from wrlso._state.searched import progress_of
from wrlso.acquisition import Goals, LogHypervolumeImprovement, LogParEGO
from wrlso.acquisition.drawn_model import drawn_model
from wrlso.acquisition.goals import Compared, GoalsBelief, choosers
from wrlso.acquisition.state import Process
from wrlso.benchmarks.outcomes.methods import METHODS, RandomScalarisation
from wrlso.benchmarks.outcomes.study import PROBLEMS
from wrlso.outcomes import aims_of
from wrlso.testing.grid import grid_state

RNG = np.random.default_rng


def both(x):
    """Ones in the first and in the second half of a word."""
    return {"left": float(np.sum(x[:6])), "right": -float(np.sum(x[4:]))}


def two_goals(**options):
    X = words()
    pool = CandidatePool(n_candidates=100, generations=2)
    options = {"acquisition": LogExpectedImprovement(search=pool)} | options
    return make_optimizer(outcomes=[Maximize("left"), Maximize("right")], **options).fit(
        X, [both(x) for x in X]
    )


def goals_state():
    """The grid, with another goal that pulls the other way."""
    state = grid_state()
    second = -((state.Z + 0.5) ** 2).sum(dim=1)
    other = SparseGP(max_iter=10).fit(state.Z, second, RNG(1))
    places = np.argsort(-state.y.numpy(), kind="stable")
    reference = np.array([float(state.y.min()), float(second.min())])
    return replace(
        state,
        outcomes={"a": Process(state.surrogate, 1.0), "b": Process(other, 1.0)},
        goals=Goals(("a", "b"), reference, places),
    )


def compared(mean, spread=1e-9, known=(0,)):
    mean = torch.tensor(mean, dtype=torch.float64)
    draws = mean + spread * torch.randn(64, *mean.shape, dtype=torch.float64, generator=torch.manual_seed(0))
    return Compared(mean, draws, torch.tensor(known))


def test_the_model_returns_its_samples():
    mean, draws = torch.rand(5, 2).double(), torch.rand(7, 5, 2).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, sampler = drawn_model(mean, draws)
    posterior = model.posterior(torch.tensor([[[3.0], [0.0]]]))
    assert torch.equal(posterior.mean, mean[[3, 0]][None])
    assert torch.equal(sampler(posterior), draws[:, [3, 0]][:, None])


def test_without_noise_it_is_the_hypervolume_that_a_point_adds():
    points = compared([[0.5, 0.5], [0.9, 0.4], [0.4, 0.9], [0.8, 0.8], [0.2, 0.1]])
    found = LogHypervolumeImprovement().score(points, torch.arange(1, 5), 0.0, torch.Generator())
    assert np.allclose(
        found[:3].exp(), [0.9 * 0.4 - 0.5 * 0.4, 0.9 * 0.4 - 0.5 * 0.4, 0.64 - 0.25], atol=5e-3
    )
    assert found[3] < found[:3].min() - 2.0


def test_what_is_chosen_belongs_to_the_front():
    before = compared([[0.5, 0.5], [0.9, 0.4], [0.88, 0.41], [0.4, 0.9]])
    after = replace(before, known=torch.tensor([0, 1]))
    first, then = (
        LogHypervolumeImprovement().score(each, torch.tensor([2, 3]), 0.0, torch.Generator())
        for each in (before, after)
    )
    assert then[0] < first[0] - 1.0
    assert then[1] == pytest.approx(float(first[1]), abs=0.1)


def test_parego_has_new_weights_for_every_point():
    points = compared([[0.5, 0.5], [0.95, 0.3], [0.3, 0.95]], known=(0,))
    generator = torch.Generator().manual_seed(0)
    best = {int(LogParEGO().score(points, torch.tensor([1, 2]), 0.0, generator).argmax()) for _ in range(12)}
    assert best == {0, 1}


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_a_goal_do_not_matter(factor):
    state = goals_state()
    other = Process(
        SparseGP(max_iter=10).fit(state.Z, factor * -((state.Z + 0.5) ** 2).sum(dim=1), RNG(1)), 1.0
    )
    scaled = replace(
        state,
        outcomes=dict(state.outcomes) | {"b": other},
        goals=replace(state.goals, reference=state.goals.reference * [1.0, factor]),
    )
    search = LogHypervolumeImprovement(CandidatePool(60))
    chosen = [[p.x for p in search.propose(each, 2, RNG(0))[0]] for each in (state, scaled)]
    assert chosen[0] == chosen[1]


def test_points_are_found_between_the_goals_and_differ():
    state = goals_state()
    proposals, _ = Mixture([LogExpectedImprovement(), ThompsonSampling()]).propose(state, 4, RNG(0))
    cells = np.array([p.x for p in proposals]) / 4.0
    assert (np.abs(cells) <= 1.0).all()
    assert len({p.x for p in proposals}) == 4


def test_defaults_turn_into_those_for_several_goals():
    state = goals_state()
    kinds = [
        type(each) for each in choosers(Mixture([LogExpectedImprovement(), ThompsonSampling()]), state, 2)
    ]
    assert sorted(kind.__name__ for kind in kinds) == ["LogHypervolumeImprovement", "LogParEGO"]
    three = replace(state, goals=replace(state.goals, names=("a", "b", "c")))
    assert {type(each) for each in choosers(LogExpectedImprovement(), three, 2)} == {LogParEGO}
    with pytest.raises(ParameterError, match="all parts of a mixture must be for several, or none"):
        choosers(Mixture([LogExpectedImprovement(), UpperConfidenceBound()]), state, 2)
    with pytest.raises(ParameterError, match="needs several goals"):
        LogParEGO().propose(grid_state(), 1, RNG(0))


def test_a_belief_is_about_numbers():
    with pytest.raises(ParameterError, match="points have numbers only in a belief over them"):
        GoalsBelief.of(goals_state(), torch.Generator()).add(torch.tensor([0]))


def test_a_search_for_two_goals_goes_on_bit_for_bit(tmp_path):
    whole, saved = two_goals(), two_goals()
    for step in range(3):
        for opt in (whole, saved):
            opt.tell(x := opt.ask(), both(x))
        saved.save(tmp_path / str(step))
        parts = {"encoder": whole.encoder, "decoder": whole.decoder}
        saved = type(saved).load(tmp_path / str(step), **parts, autosave=False)
        assert np.array_equal(whole.X_[-1], saved.X_[-1])
    assert whole.hypervolume_ == saved.hypervolume_ > 0
    assert len({tuple(x) for x in whole.ask(3)}) == 3


def test_progress_is_the_hypervolume():
    opt = two_goals()
    aims = aims_of(opt.outcomes)
    progress = progress_of(opt.history_, aims, standing(opt.history_, aims))
    assert (np.diff(progress) >= 0).all()
    assert progress[-1] == pytest.approx(opt.hypervolume_)


def test_a_limit_is_kept_by_probability():
    X = words(60)
    told = [{"ones": float(np.sum(x)), "third": float(x[2])} for x in X]
    opt = make_optimizer(outcomes=[Maximize("ones"), AtLeast("third", 0.5)]).fit(X, told)
    batch = opt.ask(6)
    assert sum(x[2] for x in batch) >= 5
    chance = opt.probability_of_success_(X)
    keeps = X[:, 2].astype(bool)
    assert chance[keeps].min() > 0.5 > chance[~keeps].max()
    assert opt.history_.records[-1].success is not None


def test_a_limit_of_the_other_side():
    X = words(60)
    told = [{"ones": float(np.sum(x)), "third": float(x[2])} for x in X]
    outcomes = [Maximize("ones"), Minimize("third"), AtLeast("third", 0.5)]
    opt = make_optimizer(outcomes=outcomes, acquisition=PriorSampling()).fit(X, told)
    assert len(opt.ask(2)) == 2


@pytest.mark.parametrize("name", ["branin-currin", "zdt1"])
def test_problems_start_alike(name):
    problem = PROBLEMS[name]
    X, Y = problem.start(3)
    assert np.array_equal(X, problem.start(3)[0])
    assert np.allclose(Y[0], problem.values(X[0]))
    assert np.array_equal(problem.values(X[0] + 5.0), problem.values(np.ones(problem.n_columns)))


def test_values_of_the_problems():
    """Known values: Branin's minimum 0.397887 at (π, 2.275), and ZDT1's front f2 = 1 - √f1."""
    branin = PROBLEMS["branin-currin"].values(np.array([(np.pi + 5) / 15, 2.275 / 15]))[0]
    assert branin == pytest.approx(0.397887, abs=1e-5)
    zdt1 = PROBLEMS["zdt1"].values(np.array([0.25, *[0.0] * 7]))
    assert np.allclose(zdt1, [0.25, 0.5])


def test_methods_make_so_many_calls():
    pytest.importorskip("pymoo")
    done = []
    values = METHODS["nsga2"](PROBLEMS["branin-currin"], 0, 45, lambda: done.append(1))
    assert values.shape == (45, 2)
    points = compared([[0.5, 0.5], [0.9, 0.4]])
    assert RandomScalarisation().score(points, torch.tensor([1]), 0.0, torch.Generator()).shape == (1,)
