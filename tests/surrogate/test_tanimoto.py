"""The surrogate on structures: the kernel, the exact process, and what a campaign does with it."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array
from sklearn.base import clone

from wrlso import (
    CandidatePool,
    LatentSearch,
    LogExpectedImprovement,
    Mixture,
    MorganCounts,
    TanimotoGP,
    ThompsonSampling,
    UpperConfidenceBound,
    WeightedRetrainingOptimizer,
)
from wrlso._state.codec import dump, load
from wrlso.acquisition import SearchState
from wrlso.exceptions import DataError, DataTypeError, NotFittedError, ParameterError, ParameterTypeError
from wrlso.surrogate import HasWorkingScale, KnowsNoise, Surrogate
from wrlso.surrogate.minmax_kernel import MOST_COUNTS, Overlaps, dots, expand, join, squares, tanimoto
from wrlso.surrogate.tanimoto_fitting import evidence
from wrlso.tasks import Expressions

seeds = st.integers(0, 2**32 - 1)
count_matrices = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.integers(0, 9)
)
SMILES = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "CCCCCC", "O=C(O)c1ccccc1", "C1CCCCC1N", "CCN(CC)CC", "C"]


def minmax(A, B):
    """The kernel as it is defined; 1 for two objects without features."""
    least = np.minimum(A[:, None], B[None]).sum(-1)
    most = np.maximum(A[:, None], B[None]).sum(-1)
    return np.where(most > 0, least / np.maximum(most, 1), 1.0)


def kernel(A, B):
    ours, theirs = expand(csr_array(A)), expand(csr_array(B))
    return tanimoto(Overlaps(theirs).of(ours), ours.sizes, theirs.sizes)


def letters(X):
    """Counts of the letters a to h."""
    return np.array([[x.count(letter) for letter in "abcdefgh"] for x in X]).reshape(len(X), 8)


def words(n, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdefgh"), size=rng.integers(1, 15))) for _ in range(n)]


def values(X, seed=0):
    noise = 0.05 * np.random.default_rng(seed).normal(size=len(X))
    return torch.from_numpy(np.array([x.count("a") - 0.5 * x.count("b") for x in X]) + noise)


def fitted(n=60, transform="standardize", **options):
    X = words(n)
    return TanimotoGP(letters, transform=transform, **options).fit(X, values(X), np.random.default_rng(0)), X


# ---------------------------------------------------------------- the kernel


@given(count_matrices, seeds)
def test_the_kernel_is_what_its_definition_says(A, seed):
    B = np.random.default_rng(seed).integers(0, 9, size=(7, A.shape[1]))
    np.testing.assert_allclose(kernel(A, B), minmax(A, B), rtol=1e-15)


@given(count_matrices)
def test_the_kernel_is_symmetric_positive_and_one_on_the_diagonal(A):
    K = kernel(A, A)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(np.diag(K), 1.0)
    assert ((K >= 0) & (K <= 1)).all()
    assert np.linalg.eigvalsh(K).min() > -1e-12 * len(A)


@given(count_matrices, seeds)
def test_the_order_of_features_and_objects_does_not_matter(A, seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(A.shape[0]), rng.permutation(A.shape[1])
    np.testing.assert_array_equal(
        kernel(A[rows][:, columns], A[rows]), kernel(A[:, columns], A)[rows][:, rows]
    )


def test_frequent_and_rare_columns_make_the_whole():
    """Enough rows that most columns are sparse and some dense, and queries with features of their own."""
    rng = np.random.default_rng(0)
    A = rng.poisson(0.002, size=(1500, 800)) * rng.integers(1, 4, size=(1500, 800))
    A[:, :5] += rng.integers(0, 3, size=(1500, 5))
    B = rng.poisson(0.01, size=(1100, 800))
    B[:, :5] = 2
    A[:, 790:] = 0
    dense = Overlaps(expand(csr_array(A)))._index[2].shape[1]
    assert 5 <= dense < 500
    small = rng.choice(1100, size=60, replace=False)
    np.testing.assert_allclose(kernel(B, A)[small], minmax(B[small], A), rtol=1e-15)


@given(count_matrices, seeds)
def test_joined_rows_are_the_rows_of_both(A, seed):
    B = np.random.default_rng(seed).integers(0, 9, size=(5, A.shape[1]))
    joined, whole = join(expand(csr_array(A)), expand(csr_array(B))), expand(csr_array(np.vstack([A, B])))
    np.testing.assert_array_equal(joined.keys, whole.keys)
    np.testing.assert_array_equal(joined.ends, whole.ends)


# ---------------------------------------------------------------- molecules


@pytest.mark.parametrize("radius", [0, 1, 2, 3])
@pytest.mark.parametrize("counts", [True, False])
def test_molecules_are_as_alike_as_rdkit_says(radius, counts):
    Chem = pytest.importorskip("rdkit.Chem")
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
    from rdkit.DataStructs import BulkTanimotoSimilarity

    fingerprint = MorganCounts(radius, counts=counts)(SMILES)
    levels = expand(fingerprint)
    K = tanimoto(Overlaps(levels).of(levels), levels.sizes, levels.sizes)
    generator = GetMorganGenerator(radius=radius)
    theirs = [generator.GetSparseCountFingerprint(Chem.MolFromSmiles(x)) for x in SMILES]
    if not counts:
        theirs = [generator.GetSparseFingerprint(Chem.MolFromSmiles(x)) for x in SMILES]
    expected = [BulkTanimotoSimilarity(one, theirs) for one in theirs]
    np.testing.assert_allclose(K, expected, rtol=1e-12)


def test_chirality_is_seen_when_asked_for():
    pytest.importorskip("rdkit")
    pair = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
    plain, chiral = (MorganCounts(2, chirality=c)(pair) for c in (False, True))
    assert (plain[[0]] != plain[[1]]).nnz == 0
    assert (chiral[[0]] != chiral[[1]]).nnz > 0


def test_equal_molecules_have_equal_features_however_they_are_written():
    pytest.importorskip("rdkit")
    fingerprint = MorganCounts()(["OCC", "C(O)C"])
    assert (fingerprint[[0]] != fingerprint[[1]]).nnz == 0


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ("C1CC", DataError, r"X\[1\]: expected the SMILES of a molecule, but 'C1CC' is invalid SMILES"),
        ("", DataError, r"X\[1\]: expected the SMILES of a molecule, but '' is empty"),
        ("no molecule", DataError, r"X\[1\]: expected the SMILES"),
        (None, DataTypeError, r"X\[1\]: expected a SMILES string, got NoneType"),
        (3, DataTypeError, r"X\[1\]: expected a SMILES string, got int"),
    ],
)
def test_what_is_no_molecule_is_named(x, error, message, capfd):
    pytest.importorskip("rdkit")
    with pytest.raises(error, match=message):
        TanimotoGP().fit(["CC", x], torch.zeros(2, dtype=torch.float64), np.random.default_rng(0))
    assert capfd.readouterr().err == ""  # RDKit itself says nothing


def test_an_impossible_radius_is_refused():
    with pytest.raises(ParameterError, match="radius: expected at least 0"):
        MorganCounts(-1)(["C"])
    with pytest.raises(ParameterTypeError, match="radius: expected an int"):
        MorganCounts(1.5)(["C"])


# ---------------------------------------------------------------- the process


def whole_kernel(gp, A, B, data):
    """The kernel with its linear part, as it is defined."""
    share, scale = gp.posterior_.kernel.linear, gp.posterior_.kernel.scale
    reach = 1.3 * np.sqrt((data**2).sum(axis=1).max())
    a, b = (C / np.maximum(np.sqrt((C**2).sum(axis=1, keepdims=True)) / reach, 1.0) for C in (A, B))
    return (1 - share) * minmax(A, B) + share * (a @ b.T) / scale


def by_hand(gp, X, t, new):
    """Mean and covariance of the exact process at fixed hyperparameters, from the definition."""
    p = gp.posterior_
    A, B = letters(X), letters(new)
    weights = np.linalg.solve(whole_kernel(gp, A, A, A) + p.ratio * np.eye(len(X)), whole_kernel(gp, A, B, A))
    mean = p.mean + weights.T @ (t - p.mean)
    return mean, p.signal * (whole_kernel(gp, B, B, A) - whole_kernel(gp, B, A, A) @ weights)


@given(seeds, st.sampled_from([0.0, 0.4, "auto"]))
@settings(max_examples=15, deadline=None)
def test_it_is_the_exact_process(seed, linear):
    X, new = words(40, seed), [*words(9, seed + 1), "ab" * 40, "h" * 90]
    y = values(X, seed)
    gp = TanimotoGP(letters, transform="standardize", linear=linear).fit(X, y, np.random.default_rng(0))
    mean, covariance = by_hand(gp, X, gp.transform_.forward(y.numpy()), new)
    scale = gp.transform_.scale
    ours = gp.predict(new)
    np.testing.assert_allclose(ours[0], gp.transform_.center + scale * mean, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours[1], scale**2 * np.diag(covariance), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(gp.joint(new)[1], covariance, atol=1e-9)


def test_conditioning_hundreds_of_times_is_recomputing_once():
    gp, X = fitted(100)
    more, new = words(300, 5), words(50, 6)
    y = values(more, 5)
    sizes = [1] * 250 + [5] * 10
    start = 0
    for size in sizes:
        gp = gp.condition_on(more[start : start + size], y[start : start + size])
        start += size
    p = gp.posterior_
    assert len(p.t) == 400
    A = letters(X + more)
    K = whole_kernel(gp, A, A, A)
    whole = np.linalg.cholesky(K + p.ratio * np.eye(400))
    L, v = p._factors
    np.testing.assert_allclose(L, whole, atol=1e-8)
    np.testing.assert_allclose(v, solve_triangular(whole, p.t - p.mean, lower=True), atol=1e-8)
    t = gp.transform_.forward(torch.cat([values(X), y]).numpy())
    mean, covariance = by_hand(gp, X + more, t, new)
    np.testing.assert_allclose(gp.joint(new)[0], mean, atol=1e-8)
    np.testing.assert_allclose(gp.joint(new)[1], covariance, atol=1e-8)


@given(count_matrices, seeds)
def test_products_and_squares_are_those_of_the_counts(A, seed):
    B = np.random.default_rng(seed).integers(0, 4, size=(5, A.shape[1]))
    ours, theirs = expand(csr_array(A)), expand(csr_array(B))
    np.testing.assert_array_equal(dots(ours, theirs), A @ B.T)
    np.testing.assert_array_equal(squares(ours), (A * A).sum(axis=1))


def test_a_linear_part_carries_on_what_features_add():
    """What is longer than the data is predicted to be better by what each letter adds, up to a reach."""
    X = ["".join(x) for x in words(200) if len(x) < 8] + ["a" * 8]
    y = torch.tensor([float(x.count("a")) for x in X], dtype=torch.float64)
    alike, auto = (
        TanimotoGP(letters, linear=linear).fit(X, y, np.random.default_rng(0)) for linear in (0.0, "auto")
    )
    assert auto.linear_ > 0
    assert float(auto.predict(["a" * 10])[0]) == pytest.approx(10, rel=0.1)
    assert float(alike.predict(["a" * 10])[0]) < 9
    further, longest = auto.predict(["a" * 20, "a" * 2000])[0].tolist()
    assert 10 < longest < further < 13  # 8 · 1.3 = 10.4
    told = auto.condition_on(["a" * 20], torch.tensor([20.0], dtype=torch.float64))
    assert float(told.predict(["a" * 26])[0]) == pytest.approx(26, rel=0.1)  # the reach follows the data


@given(seeds, st.integers(2, 12), st.sampled_from([0.2, 0.5, 0.95, "auto"]))
@settings(max_examples=40, deadline=None)
def test_no_object_is_less_certain_than_one_at_the_reach(seed, n, linear):
    """Whatever the values are, uncertainty does not grow with size beyond what the data's sizes support."""
    X = words(n, seed)
    y = torch.from_numpy(np.random.default_rng(seed).normal(size=n))
    gp = TanimotoGP(letters, linear=linear, transform="standardize").fit(X, y, np.random.default_rng(0))
    A, share = letters(X), gp.linear_
    squares = (A**2).sum(axis=1)
    most = (1 - share) + share * 1.3**2 * squares.max() / gp.posterior_.kernel.scale
    far = ["a" * 10, "ab" * 100, "abcdefgh" * 50, "h" * 3000]
    deviation = gp.joint(far)[1].diagonal().sqrt()
    assert (deviation**2 <= gp.posterior_.signal * most * (1 + 1e-9)).all()
    further = gp.joint([x * 20 for x in far])[1].diagonal().sqrt()
    assert (further <= 1.3 * deviation[-1].clamp_min(deviation.max())).all()


def test_random_values_seldom_look_linear():
    """From 6 to 12 objects with random values, nothing is extrapolated in 97 of 100 cases."""
    linear = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        X = words(int(rng.integers(6, 13)), seed)
        gp = TanimotoGP(letters).fit(X, torch.from_numpy(rng.normal(size=len(X))), rng)
        linear += gp.linear_ > 0
        far = float(gp.predict(["a" * 100])[1].sqrt())
        assert far < 4 * float(gp.transform_.scale)
    assert linear <= 6


@pytest.mark.parametrize("n", [6, 10, 20, 50])
def test_intervals_from_few_values_hold_what_they_promise(n):
    """The values are draws of the process itself, so that only the number of values can do harm."""
    held = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        X = words(n + 40, seed)
        K = minmax(letters(X), letters(X))
        y = np.linalg.cholesky(K + 0.05 * np.eye(len(X))) @ rng.normal(size=len(X))
        gp = TanimotoGP(letters, linear=0.0, transform="standardize")
        mean, variance = gp.fit(X[:n], torch.from_numpy(y[:n]), rng).predict(X[n:])
        reach = 1.645 * np.sqrt(variance.numpy() + gp.noise_variance())
        held.append(np.mean(np.abs(mean.numpy() - y[n:]) <= reach))
    assert 0.85 <= np.mean(held) <= 0.95


def test_without_a_linear_trend_there_is_no_linear_part():
    X = words(150)
    y = torch.tensor([float(len(set(x)) % 2) for x in X], dtype=torch.float64)
    assert TanimotoGP(letters).fit(X, y, np.random.default_rng(0)).linear_ <= 0.2


def test_conditioning_leaves_the_original_alone():
    gp = fitted()[0]
    new = words(8, 3)
    before = gp.predict(new)
    other = gp.condition_on(new, values(new, 3))
    for a, b in zip(before, gp.predict(new), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert (other.predict(new)[1] < before[1]).all()
    same = gp.condition_on([], torch.zeros(0, dtype=torch.float64))
    torch.testing.assert_close(same.predict(new)[0], before[0])


@given(st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_the_order_of_new_observations_does_not_matter(order):
    gp, _ = fitted(30)
    new = words(6, 3)
    y = values(new, 3)
    probe = words(5, 4)
    first = gp.condition_on(new, y).predict(probe)
    second = gp.condition_on([new[i] for i in order], y[list(order)]).predict(probe)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def test_the_evidence_is_the_density_of_the_data():
    """Up to the priors it is the normal density, at the signal and mean that make it largest."""
    X = words(30)
    t = values(X).numpy()
    K = minmax(letters(X), letters(X))
    found = evidence(K, t, 0.1)
    ones = np.ones(30)

    def density(signal, mean):
        covariance = signal * (K + 0.1 * np.eye(30))
        residual = t - mean
        square = residual @ np.linalg.solve(covariance, residual)
        return -0.5 * (square + np.linalg.slogdet(covariance)[1] + 30 * np.log(2 * np.pi))

    def posterior(signal, mean):
        # inverse gamma, shape 1 and scale 1, as a density of s
        return density(signal, mean) - 2 * np.log(signal) - 1 / signal - 0.5 * ((np.log(0.1 / 0.01)) / 2) ** 2

    assert found.value == pytest.approx(posterior(found.signal, found.mean))
    inverse = np.linalg.inv(K + 0.1 * np.eye(30))
    assert found.mean == pytest.approx(ones @ inverse @ t / (ones @ inverse @ ones))
    for signal, mean in ((1.01, 0.0), (0.99, 0.0), (1.0, 0.01), (1.0, -0.01)):
        assert posterior(found.signal * signal, found.mean + mean) < found.value


def test_the_fit_finds_the_best_noise_and_starts_there_again():
    gp, X = fitted(120)
    t = gp.transform_.forward(values(X).numpy())
    K = whole_kernel(gp, letters(X), letters(X), letters(X))
    grid = [evidence(K, t, r).value for r in np.geomspace(1e-4, 10, 60)]
    assert gp.evidence_ > max(grid) - 0.01
    cold = gp.n_evaluations_
    first = gp.evidence_
    gp.fit(X, values(X), np.random.default_rng(0))
    assert gp.n_evaluations_ < cold
    assert gp.evidence_ == pytest.approx(first, abs=0.02)


@pytest.mark.parametrize("noise", [1e-3, 30.0])
def test_a_warm_start_far_away_is_left(noise):
    """From data with much noise to data with little, and back."""
    X = words(120)
    rng = np.random.default_rng(1)
    quiet, loud = values(X), values(X) + torch.from_numpy(30 * rng.normal(size=120))
    first, second = (loud, quiet) if noise < 1 else (quiet, loud)
    gp = TanimotoGP(letters).fit(X, first, rng).fit(X, second, rng)
    fresh = TanimotoGP(letters).fit(X, second, rng)
    assert gp.evidence_ == pytest.approx(fresh.evidence_, abs=0.05)


@given(st.sampled_from(["standardize", "winsorize", "floor"]), seeds)
@settings(max_examples=15, deadline=None)
def test_the_working_scale_keeps_the_order_of_means(transform, seed):
    gp, X = fitted(transform=transform)
    work, t = gp.working_scale(values(X))
    assert (t[values(X).argsort()].diff() >= 0).all()
    new = words(20, seed)
    mean, covariance, noise = gp.joint(new)
    torch.testing.assert_close(work.predict(new)[0], mean)
    torch.testing.assert_close(work.predict(new)[1], covariance.diagonal(), rtol=1e-6, atol=1e-9)
    assert noise == pytest.approx(work.noise_variance())


def test_scores_and_draws_agree_with_the_moments():
    gp, _ = fitted(150)
    new = words(200, 9)
    mean, variance = gp.predict(new)
    deviation = (variance + gp.noise_variance()).sqrt()
    density = torch.distributions.Normal(mean, deviation).log_prob(values(new, 9)).mean()
    assert gp.score(new, values(new, 9)) == pytest.approx(float(density), rel=1e-9)
    draws = gp.sample(new[:10], 4000, torch.Generator().manual_seed(0))
    assert ((draws.mean(0) - mean[:10]).abs() < 6 * variance[:10].sqrt() / 4000**0.5 + 1e-6).all()
    torch.testing.assert_close(draws.std(0), variance[:10].sqrt(), rtol=0.1, atol=1e-4)


@pytest.mark.parametrize(
    "y", [[1.0, 1.0, 1.0], [0.0, 1e140, -1e140], [1e-300, 0.0, 2e-300], [5.0, 5.0, -7.0]]
)
@pytest.mark.parametrize("X", [["a", "b", "c"], ["a", "a", "a"], ["", "", "a"]])
def test_nothing_that_is_not_finite_comes_out(X, y):
    for transform in ("standardize", "winsorize", "floor"):
        gp = TanimotoGP(letters, transform=transform)
        gp.fit(X, torch.tensor(y, dtype=torch.float64), np.random.default_rng(0))
        gp = gp.condition_on(["aaaa", "a"], torch.tensor([y[0], y[2]], dtype=torch.float64))
        new = ["a", "zzz", "", "abc"]
        for found in (*gp.predict(new), *gp.joint(new)[:2], gp.sample(new, 3, torch.Generator())):
            assert torch.isfinite(found).all()
        assert (gp.predict(new)[1] >= 0).all()


def test_one_observation_is_enough():
    gp = TanimotoGP(letters).fit(["a"], torch.tensor([3.0], dtype=torch.float64), np.random.default_rng(0))
    mean, variance = gp.predict(["a", "h"])
    torch.testing.assert_close(mean, torch.full((2,), 3.0, dtype=torch.float64))
    assert variance[0] < variance[1]


def test_the_subset_is_the_best_and_some_others():
    X = words(200)
    y = values(X)
    gp = TanimotoGP(letters, 20, 30, transform="standardize").fit(X, y, np.random.default_rng(0))
    assert len(gp.posterior_.t) == 50
    t = np.sort(gp.transform_.forward(np.sort(y.numpy())[-20:]))
    np.testing.assert_allclose(np.sort(gp.posterior_.t)[-20:], t)


def test_many_objects_are_predicted_in_parts():
    gp, _ = fitted(30)
    new = words(2500, 3)
    mean, variance = gp.predict(new)
    assert mean.shape == variance.shape == (2500,)
    torch.testing.assert_close(mean[2040:2060], gp.predict(new[2040:2060])[0])
    assert gp.predict([])[0].shape == (0,)


# ---------------------------------------------------------------- storing


def test_a_stored_process_goes_on_to_the_last_bit():
    gp, _ = fitted(50)
    more = words(12, 7)
    y = values(more, 7)
    gp = gp.condition_on(more[:3], y[:3]).condition_on(more[3:4], y[3:4])
    data = dump(gp, foreign=True)
    assert len(data) < 50_000  # the factor alone would be 54 · 54 · 8 bytes, and grow with the square
    loaded = load(data)
    loaded.fingerprint = letters
    new = words(20, 8)
    for ours, theirs in zip(
        loaded.condition_on(more[4:], y[4:]).predict(new),
        gp.condition_on(more[4:], y[4:]).predict(new),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


def test_the_fingerprint_of_molecules_is_stored():
    pytest.importorskip("rdkit")
    y = torch.arange(8, dtype=torch.float64)
    gp = TanimotoGP(MorganCounts(2)).fit(SMILES, y, np.random.default_rng(0))
    loaded = load(dump(gp))
    assert torch.equal(loaded.predict(SMILES)[0], gp.predict(SMILES)[0])
    assert loaded.get_params()["fingerprint__radius"] == 2
    assert clone(gp).fingerprint.radius == 2


def test_a_campaign_is_resumed(tmp_path):
    task = Expressions(n_start=120)
    X, y = task.initial_data(0)

    def symbols(X):
        return np.array([[x.count(symbol) for symbol in "v123+*/()se"] for x in X])

    def optimizer():
        return WeightedRetrainingOptimizer(
            model=task.model(0, hidden=16),
            surrogate=TanimotoGP(symbols),
            acquisition=LogExpectedImprovement(CandidatePool(60)),
            retrain_every=50,
            random_state=0,
        )

    def step(opt):
        batch = opt.ask(2)
        opt.tell(batch, task.objectives(batch))
        return batch

    whole, first = optimizer().fit(X, y), optimizer().fit(X, y)
    expected = [step(whole) for _ in range(4)]
    found = [step(first) for _ in range(2)]
    first.save(tmp_path / "campaign")
    again = WeightedRetrainingOptimizer.load(
        tmp_path / "campaign", model=task.model(0, hidden=16), surrogate=TanimotoGP(symbols)
    )
    found += [step(again) for _ in range(2)]
    assert found == expected


# ---------------------------------------------------------------- searching


class Alphabet:
    """A model of words of letters: a latent point says how often each of eight letters comes."""

    latent_dim = 8
    training = False

    def tensorize(self, X):
        return torch.from_numpy(letters(X).astype(np.float32))

    def encode(self, inputs):
        return inputs / 3 - 1

    def decode(self, Z, temperature=0.0, generator=None):
        noise = temperature * torch.randn(Z.shape, generator=generator)
        counts = ((Z + 1) * 3 + noise).round().clamp(0, 9).int().tolist()
        return ["".join(c * n for c, n in zip("abcdefgh", row, strict=True)) or None for row in counts]

    def key(self, x):
        return x

    def parameters(self):
        return iter([torch.nn.Parameter(torch.zeros(1))])

    def train(self, mode=True):
        return self


def state(pending=()):
    gp, X = fitted(60)
    model, y = Alphabet(), values(X)
    Z = model.encode(model.tensorize(X)).double()
    known = set(X) | set(pending)
    return SearchState(
        model=model,
        surrogate=gp,
        Z=Z,
        y=y,
        weights=torch.ones(len(X), dtype=torch.float64),
        pending=model.encode(model.tensorize(list(pending))).double(),
        screen=lambda x: "known" if x in known else None,
        pending_X=pending,
    )


def test_it_is_a_surrogate_with_all_that_a_search_asks_for():
    gp = fitted(10)[0]
    for protocol in (Surrogate, KnowsNoise, HasWorkingScale):
        assert isinstance(gp, protocol)
    assert gp.space == "features"


@pytest.mark.parametrize(
    "acquisition",
    [
        LogExpectedImprovement,
        UpperConfidenceBound,
        ThompsonSampling,
        lambda search: Mixture([LogExpectedImprovement(), ThompsonSampling()], search=search),
    ],
)
@pytest.mark.parametrize("pending", [(), ("aaaaaaaaa", "aab")])
def test_searches_with_it_find_more_of_what_is_good(acquisition, pending):
    current = state(pending)
    proposals, record = acquisition(search=CandidatePool(300)).propose(current, 5, np.random.default_rng(0))
    assert len({p.x for p in proposals}) == 5
    assert not {p.x for p in proposals} & set(pending)
    assert np.mean([p.x.count("a") for p in proposals]) > 3  # 0.9 in the data
    assert record.strategy == "CandidatePool"


def test_a_search_in_z_refuses_it():
    with pytest.raises(ParameterError, match="LatentSearch"):
        LogExpectedImprovement(LatentSearch()).propose(state(), 1, np.random.default_rng(0))


# ---------------------------------------------------------------- bad input


def test_what_is_missing_or_impossible_is_named():
    y = torch.zeros(1, dtype=torch.float64)
    rng = np.random.default_rng(0)
    with pytest.raises(NotFittedError, match="call fit"):
        TanimotoGP().predict(["C"])
    with pytest.raises(ParameterTypeError, match="fingerprint must be callable or None, got 3"):
        TanimotoGP(3).fit(["a"], y, rng)
    with pytest.raises(ParameterTypeError, match="rng: expected a numpy.random.Generator"):
        TanimotoGP(letters).fit(["a"], y, 3)
    with pytest.raises(ParameterError, match="n_best \\+ n_random: expected at least 1"):
        TanimotoGP(letters, 0, 0).fit(["a"], y, rng)
    with pytest.raises(ParameterTypeError, match="n_best: expected an int"):
        TanimotoGP(letters, 1.5).fit(["a"], y, rng)
    with pytest.raises(ParameterError, match="transform: expected one of"):
        TanimotoGP(letters, transform="log").fit(["a"], y, rng)
    with pytest.raises(DataError, match="fit: expected at least one observation"):
        TanimotoGP(letters).fit([], y[:0], rng)
    with pytest.raises(DataError, match=r"y: expected shape \(2,\)"):
        TanimotoGP(letters).fit(["a", "b"], y, rng)
    gp = fitted(10)[0]
    with pytest.raises(DataError, match="score: expected at least one"):
        gp.score([], y[:0])
    with pytest.raises(DataError, match="y: expected finite values"):
        gp.condition_on(["a"], y / 0)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (lambda X: np.zeros((1, 2)), r"must return shape \(2, D\), D ≥ 1, got \(1, 2\)"),
        (lambda X: np.zeros((2, 0)), r"got \(2, 0\)"),
        (lambda X: csr_array((2, 2**50)), r"must return shape \(2, D\)"),
        (lambda X: np.zeros(2), r"got \(2,\)"),
        (lambda X: [[1], [1, 2]], "must return counts"),
        (lambda X: [["a"], ["b"]], "must return counts"),
        (lambda X: None, "must return counts"),
        (lambda X: np.array([[1.0], [np.nan]]), "whole numbers from 0 to 65,535, got .*nan"),
        (lambda X: np.array([[1.0], [np.inf]]), "whole numbers .* got .*inf"),
        (lambda X: np.array([[1.0], [0.5]]), "whole numbers .* got .*0.5"),
        (lambda X: np.array([[1], [-1]]), "whole numbers .* got .*-1"),
        (lambda X: np.array([[1], [MOST_COUNTS + 1]]), "whole numbers"),
        (lambda X: np.full((2, 2), MOST_COUNTS), r"add up to at most 65,535, got 131,070 for X\[0\]"),
    ],
)
def test_fingerprints_that_do_not_count_are_refused(counts, message):
    y = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(DataError, match=message):
        TanimotoGP(counts).fit(["1", "2"], y, np.random.default_rng(0))


def test_fingerprints_that_change_their_width_are_refused():
    gp = TanimotoGP(lambda X: np.ones((len(X), len(X[0]))))
    gp.fit(["ab", "cd"], torch.zeros(2, dtype=torch.float64), np.random.default_rng(0))
    with pytest.raises(DataError, match="2 as in fit, got 3"):
        gp.predict(["abc"])


@given(count_matrices)
@settings(deadline=None)
def test_any_form_of_the_same_counts_is_the_same(A):
    assume(len(A) > 1)
    y = torch.arange(len(A), dtype=torch.float64)
    X = list(range(len(A)))
    forms = [
        lambda X: A[X],
        lambda X: A[X].astype(float),
        lambda X: torch.from_numpy(A[X]),
        lambda X: csr_array(A)[X],
        lambda X: csr_array(A)[X].tocoo(),
    ]
    found = [TanimotoGP(f).fit(X, y, np.random.default_rng(0)).predict(X)[0] for f in forms]
    for one in found[1:]:
        assert torch.equal(one, found[0])


def test_a_function_that_writes_to_its_objects_reaches_copies_only():
    def writing(X):
        counts = np.stack(X).astype(int)
        for x in X:
            x[:] = 0
        return counts

    X = [np.arange(3.0), np.ones(3)]
    TanimotoGP(writing).fit(X, torch.tensor([0.0, 1.0], dtype=torch.float64), np.random.default_rng(0))
    np.testing.assert_array_equal(X, [[0, 1, 2], [1, 1, 1]])
