"""Tests of wrlso.testing: correct parts pass, and each broken one fails with its own message."""

import random
import threading

import numpy as np
import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional as F

from wrlso.exceptions import DataError, ParameterError, ParameterTypeError, WrlsoError
from wrlso.testing import CheckFailedError, check_latent_model, check_weighting, objective_values, weightings
from wrlso.weighting import CEMPIWeighting, DbASWeighting, RankWeighting, RWRWeighting, UniformWeighting


def global_random_state():
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global state is what is tested)
    return torch.get_rng_state().tolist(), name, keys.tolist(), rest, random.getstate()


class TestStrategies:
    @given(objective_values(min_size=2, max_size=7))
    def test_objective_values_are_finite_vectors_of_the_wanted_sizes(self, y):
        assert y.dtype == np.float64
        assert y.ndim == 1
        assert 2 <= len(y) <= 7
        magnitudes = np.abs(y[y != 0])
        assert ((magnitudes >= 1e-300) & (magnitudes <= 1e300)).all()

    @given(objective_values(ties=False))
    def test_objective_values_without_ties_are_distinct(self, y):
        assert len(np.unique(y)) == len(y)

    @pytest.mark.parametrize(
        "is_wanted",
        [
            lambda y: len(y) == 1,
            lambda y: len(y) > 20,
            lambda y: len(y) > 5 and len(np.unique(y)) <= 2,
            lambda y: np.abs(y).max() > 1e290,
            lambda y: 0 < np.abs(y).max() < 1e-3,
            lambda y: (y < 0).any() and (y > 0).any(),
        ],
    )
    def test_objective_values_reach_the_hard_cases(self, is_wanted):
        options = settings(max_examples=2000, derandomize=True, database=None)
        assert is_wanted(find(objective_values(), is_wanted, settings=options))

    def test_objective_values_say_which_size_is_wrong(self):
        with pytest.raises(ParameterError, match="min_size must be an integer of at least 1, got 0"):
            objective_values(min_size=0)
        with pytest.raises(ParameterError, match="max_size must be an integer of at least 3, got 2"):
            objective_values(min_size=3, max_size=2)
        with pytest.raises(ParameterTypeError, match=r"max_size must be an integer of at least 1, got 2\.5"):
            objective_values(max_size=2.5)

    @pytest.mark.parametrize(
        "kind", [RankWeighting, UniformWeighting, CEMPIWeighting, DbASWeighting, RWRWeighting]
    )
    def test_weightings_reach_every_kind(self, kind):
        options = settings(derandomize=True, database=None)
        assert isinstance(find(weightings(), lambda w: isinstance(w, kind), settings=options), kind)

    def test_weightings_reach_infinite_k(self):
        options = settings(max_examples=500, derandomize=True, database=None)
        found = find(weightings(), lambda w: getattr(w, "k", 0) == float("inf"), settings=options)
        assert found.get_params() == {"k": float("inf")}
        with pytest.raises(NoSuchExample):
            find(weightings(), lambda w: getattr(w, "k", 1) <= 0, settings=options)


def rank_by_double_argsort(y):
    return 1 / (0.1 * len(y) + np.argsort(np.argsort(-y)))


def edits_its_argument(y):
    y -= y.max()
    return np.ones(len(y))


class Remembers:
    def __init__(self):
        self.best = -np.inf

    def __call__(self, y):
        self.best = max(self.best, y.max())
        return 1.0 + (y >= self.best)


def prefers_small_values(y):
    return RankWeighting(k=1.0)(-y)


def softmax_that_overflows(y):
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(y) / np.exp(y).sum()


def standardised(y):
    with np.errstate(all="ignore"):
        return np.exp(np.clip((y - y.mean()) / y.std(), -50, 50))


def raises_for_large_sets(y):
    if len(y) > 7:
        raise IndexError("eight is too many")
    return np.ones(len(y))


def lighter_above_hundred(y):
    return np.where(y > 100, 1.0, 2.0)


def draws(y, rng=np.random.default_rng(0)):  # noqa: B008 (one generator for all calls is the defect)
    return rng.uniform(1, 2, len(y))


BROKEN_WEIGHTINGS = [
    (rank_by_double_argsort, "give equal values equal weights: .*y = \\[0.0, 0.0\\]"),
    (edits_its_argument, "leave y as it is: it changed y to .*y = \\["),
    (Remembers(), r"depend on nothing but y: it returned \[2.0\], later \[1.0\]; y = \[0.0\]"),
    (draws, "depend on nothing but y: it returned .*, then .*y = \\["),
    (prefers_small_values, "never give a better value less weight: the value .*1.0.* y = \\[0.0, 1.0\\]"),
    (lighter_above_hundred, r"never give a better value less weight: .*y = \[0.0, 101.0\]"),
    (softmax_that_overflows, r"finite weights .*: weights must be finite, got .* = nan; y = \[1e\+300\]"),
    (standardised, "finite weights .*: weights must be finite, .* = nan; y = \\[0.0\\]"),
    (raises_for_large_sets, "finite weights .*: it raised IndexError: eight is too many; y = "),
    (lambda y: y, "not all zero: weights must not all be zero; y = \\[0.0\\]"),
    (lambda y: np.where(y > 0, 1.0, -1.0), "must not be negative, .*; y = \\[0.0\\]"),
    (lambda y: np.ones((len(y), 1)), r"weights must have shape \(n,\), got shape \(1, 1\)"),
    (lambda y: np.ones(len(y) + 1), r"it returned shape \(2,\) for 1 values; y = \[0.0\]"),
    (lambda y: y > 0, "weights must hold real numbers .* got dtype bool"),
    (lambda y: None, "weights must hold real numbers .* got dtype object"),
    (lambda y: np.where(np.arange(len(y)) == 0, 2.0, 1.0), "give equal values equal weights: .*"),
    (lambda y: 1.0 + (y > y[0]), "follow a change of the order of the points: .* expected .*; y = \\["),
]


class TestCheckWeighting:
    @pytest.mark.parametrize(
        "weighting",
        [
            RankWeighting(),
            RankWeighting(k=1e-12),
            CEMPIWeighting(),
            DbASWeighting(),
            RWRWeighting(),
            lambda y: [1] * len(y),
            lambda y: torch.ones(len(y)),
        ],
    )
    def test_correct_weightings_pass(self, weighting):
        check_weighting(weighting)

    @pytest.mark.parametrize(("weighting", "message"), BROKEN_WEIGHTINGS)
    def test_broken_weightings_fail(self, weighting, message):
        with pytest.raises(CheckFailedError, match=f"must .*{message}"):
            check_weighting(weighting)

    def test_the_input_is_shrunk(self):
        with pytest.raises(CheckFailedError, match=r"y = \[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0\]"):
            check_weighting(raises_for_large_sets)

    def test_monotone_can_be_waived(self):
        check_weighting(prefers_small_values, monotone=False)

    def test_values_can_be_restricted(self):
        positive = st.lists(st.floats(1, 1e6), min_size=1, max_size=9).map(np.array)
        with pytest.raises(CheckFailedError, match="must not be negative"):
            check_weighting(lambda y: np.sqrt(1 + np.abs(y)) * np.sign(y + 0.5))
        check_weighting(lambda y: np.sqrt(1 + np.abs(y)) * np.sign(y + 0.5), values=positive)

    def test_a_weighting_that_fails_now_and_then_is_reported(self):
        calls = iter([1.0] * 200 + [-1.0] + [1.0] * 10**6)
        with pytest.raises(CheckFailedError, match="must not be negative, got"):
            check_weighting(lambda y: np.full(len(y), next(calls)))

    def test_a_weighting_that_changes_between_examples_is_reported(self):
        calls = iter(range(10**6))
        with pytest.raises(CheckFailedError, match=r"but y: it returned \[1.0\], later \[2.0\]; y = \[0.0\]"):
            check_weighting(lambda y: np.full(len(y), 1.0 + (next(calls) > 200)))

    def test_is_an_assertion_error_and_repeats_itself(self):
        messages = set()
        for _ in range(2):
            with pytest.raises(AssertionError, match="equal weights") as caught:
                check_weighting(rank_by_double_argsort)
            assert isinstance(caught.value, WrlsoError)
            messages.add(str(caught.value))
        assert len(messages) == 1

    def test_global_random_state_stays(self):
        before = global_random_state()
        check_weighting(lambda y: np.full(len(y), 1.0 + 0 * np.random.rand()), max_examples=5)  # noqa: NPY002
        assert global_random_state() == before

    def test_max_examples_is_checked(self):
        with pytest.raises(ParameterError, match="max_examples must be an integer of at least 1, got 0"):
            check_weighting(RankWeighting(), max_examples=0)


class TinyVAE(nn.Module):
    """A correct model of bit vectors of length 6; each broken model below changes one method."""

    latent_dim = 2

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4))
            self.decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6))

    def tensorize(self, X):
        return torch.as_tensor(np.array(X), dtype=torch.uint8)

    def posterior(self, inputs):
        return self.encoder(inputs.to(torch.float32)).chunk(2, dim=1)

    def encode(self, inputs):
        return self.posterior(inputs)[0]

    def logits(self, Z):
        return self.decoder(Z.to(torch.float32))

    def decode(self, Z, temperature=0.0, generator=None):
        probabilities = torch.sigmoid(self.logits(Z))
        if temperature == 0:
            return [tuple(row) for row in (probabilities > 0.5).long().tolist()]
        return [tuple(row) for row in torch.bernoulli(probabilities, generator=generator).long().tolist()]

    def loss(self, inputs):
        mean, log_variance = self.posterior(inputs)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        bits = inputs.to(torch.float32)
        nll = F.binary_cross_entropy_with_logits(self.logits(z), bits, reduction="none").sum(dim=1)
        return nll + 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(dim=1)

    def key(self, x):
        return tuple(x)


class WithNone(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        X = super().decode(Z, temperature, generator)
        return [None if z.norm() > 5 else x for z, x in zip(Z, X, strict=True)]


class Deterministic(TinyVAE):
    def loss(self, inputs):
        bits = inputs.to(torch.float32)
        logits = self.logits(self.encode(inputs))
        return F.binary_cross_entropy_with_logits(logits, bits, reduction="none").sum(dim=1)


class RowsDependOnTheBatch(TinyVAE):
    def tensorize(self, X):
        inputs = super().tensorize(X)
        return inputs - inputs[:1]


class TensorizeDraws(TinyVAE):
    def tensorize(self, X):
        return super().tensorize(X) + torch.rand(len(X), 6)


class TensorizeOneRow(TinyVAE):
    def tensorize(self, X):
        return super().tensorize(X)[:1]


class TensorizeRaises(TinyVAE):
    def tensorize(self, X):
        raise DataError("cannot represent this")


class EncodeSamples(TinyVAE):
    def encode(self, inputs):
        mean, log_variance = self.posterior(inputs)
        return mean + log_variance.exp() * torch.randn_like(mean)


class EncodeBoth(TinyVAE):
    def encode(self, inputs):
        return torch.cat(self.posterior(inputs), dim=1)


class EncodeCentres(TinyVAE):
    def encode(self, inputs):
        Z = super().encode(inputs)
        return Z - Z.mean(dim=0)


class EncodeNaN(TinyVAE):
    def encode(self, inputs):
        return super().encode(inputs).log()


class NoLatentDim(TinyVAE):
    latent_dim = 2.0


class DecodeTensor(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        return self.logits(Z)


class DecodeDropsInvalid(WithNone):
    def decode(self, Z, temperature=0.0, generator=None):
        return [x for x in super().decode(Z, temperature, generator) if x is not None]


class DecodeAlwaysDraws(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        return [tuple(row) for row in torch.randint(2, (len(Z), 6), generator=self.generator).tolist()]

    @property
    def generator(self):
        if not hasattr(self, "own"):
            self.own = torch.Generator().manual_seed(0)
        return self.own


class DecodeUsesTorchsState(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        return super().decode(Z, temperature)


class DecodeUsesNumpysState(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        np.random.rand()  # noqa: NPY002 (the defect)
        return super().decode(Z, temperature, generator)


class DecodeOverflows(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        if Z.norm(dim=1).max() > 100:
            raise OverflowError("z is too far out")
        return super().decode(Z, temperature, generator)


class DecodeNeedsSinglePrecision(TinyVAE):
    def logits(self, Z):
        return self.decoder(Z)


class DecodeNeverEnds(TinyVAE):
    released = threading.Event()

    def decode(self, Z, temperature=0.0, generator=None):
        if Z.norm(dim=1).max() > 9:
            self.released.wait()
        return super().decode(Z, temperature, generator)


class DecodesWhatItCannotTensorize(TinyVAE):
    def decode(self, Z, temperature=0.0, generator=None):
        return [str(x) for x in super().decode(Z, temperature, generator)]

    def key(self, x):
        return str(x)


class Mutates(TinyVAE):
    """Flips one bit; not what is all ones already."""

    def mutate(self, X, generator=None):
        places = torch.randint(6, (len(X),), generator=generator).tolist()
        return [None if all(x) else (*x[:i], 1 - x[i], *x[i + 1 :]) for x, i in zip(X, places, strict=True)]


class MutatesDropsInvalid(Mutates):
    def mutate(self, X, generator=None):
        return [x for x in super().mutate(X, generator) if x is not None]


class MutatesByTorchsState(Mutates):
    def mutate(self, X, generator=None):
        return super().mutate(X)


class MutatesDifferently(Mutates):
    own = torch.Generator().manual_seed(0)

    def mutate(self, X, generator=None):
        return super().mutate(X, self.own)


class MutatesTheSecondTimeOnly(Mutates):
    calls = 0

    def mutate(self, X, generator=None):
        MutatesTheSecondTimeOnly.calls += 1
        return super().mutate(X, generator)[: len(X) - 1 + self.calls % 2]


class MutatesInPlace(Mutates):
    def mutate(self, X, generator=None):
        for x in X:
            x[0] = 1 - x[0]
        return list(X)


class CrossesDropsOne(Mutates):
    """One bit string up to a place, and then another."""

    def cross(self, X, Y, generator=None):
        places = torch.randint(7, (len(X),), generator=generator).tolist()
        return [(*x[:i], *y[i:]) for x, y, i in zip(X, Y, places, strict=True)][1:]


class Crosses(CrossesDropsOne):
    def cross(self, X, Y, generator=None):
        return [X[0], *super().cross(X, Y, generator)]


class CrossesByTorchsState(Crosses):
    def cross(self, X, Y, generator=None):
        return super().cross(X, Y)


class CrossesInPlace(Crosses):
    def cross(self, X, Y, generator=None):
        for y in Y:
            y[0] = 1 - y[0]
        return list(X)


class MutatesIntoStrings(Mutates):
    def mutate(self, X, generator=None):
        return [str(x) for x in X]

    def key(self, x):
        return str(x)


class LossIsMean(TinyVAE):
    def loss(self, inputs):
        return super().loss(inputs).mean()


class LossIsSharedByTheBatch(Deterministic):
    def loss(self, inputs):
        losses = super().loss(inputs)
        return losses.mean().expand(len(losses))


class StochasticLossIsSharedByTheBatch(TinyVAE):
    def loss(self, inputs):
        losses = super().loss(inputs) * (1 + 10 * inputs[:, 0])
        return losses.mean().expand(len(losses))


class LossIsInfinite(TinyVAE):
    def loss(self, inputs):
        return super().loss(inputs) / 0


class LossIsDetached(TinyVAE):
    def loss(self, inputs):
        return super().loss(inputs).detach()


class LossIgnoresParameters(TinyVAE):
    def loss(self, inputs):
        return super().loss(inputs) * 0


class GradientIsNaN(TinyVAE):
    def loss(self, inputs):
        return super().loss(inputs) + (self.encode(inputs) * 0).abs().sum(dim=1).sqrt()


class KeyIsIdentity(TinyVAE):
    def key(self, x):
        return id(x)

    def tensorize(self, X):
        return super().tensorize([list(x) for x in X])


class KeyIsAList(TinyVAE):
    def key(self, x):
        return list(x)


class KeyIsTheSum(TinyVAE):
    def key(self, x):
        return int(np.sum(x)) // 4


class KeyRaises(TinyVAE):
    def key(self, x):
        return x.canonical


class TensorizeEditsX(TinyVAE):
    def tensorize(self, X):
        inputs = super().tensorize(X)
        for x in X:
            x[0] = 0
        return inputs

    def decode(self, Z, temperature=0.0, generator=None):
        return [list(x) for x in super().decode(Z, temperature, generator)]


class StateDictForgets(TinyVAE):
    def state_dict(self, *args, **kwargs):
        return {name: value for name, value in super().state_dict().items() if "encoder" not in name}

    def load_state_dict(self, state_dict, strict=False, assign=False):
        return super().load_state_dict(state_dict, strict=False)


class StateDictForgetsTheDecoder(StateDictForgets):
    def state_dict(self, *args, **kwargs):
        full = nn.Module.state_dict(self)
        return {name: value for name, value in full.items() if "decoder" not in name}


class StateDictOfArrays(TinyVAE):
    def state_dict(self, *args, **kwargs):
        return {name: value.numpy() for name, value in super().state_dict().items()}


class CannotBeCopied(TinyVAE):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class NotAModel(BaseEstimator):
    latent_dim = 2

    def tensorize(self, X):
        return torch.zeros(len(X))

    encode = decode = parameters = train = to = tensorize


BITS = [(1, 1, 0, 1, 0, 1), (0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1), (0, 1, 0, 0, 1, 1)]
ARRAY = r"\(1, 1, 0, 1, 0, 1\)"
BROKEN_MODELS = [
    (NotAModel, "have the methods of LatentModel: loss, key, state_dict, load_state_dict missing"),
    (CannotBeCopied, "be copied by copy.deepcopy: it raised TypeError: .*lock"),
    (TensorizeRaises, rf"tensorize n objects .*raised DataError: cannot represent this; input: .*{ARRAY}"),
    (TensorizeOneRow, "tensorize n objects .*expected 4 rows, got torch.uint8 of shape"),
    (TensorizeDraws, "tensorize n objects .*a second call gave another tensor"),
    (RowsDependOnTheBatch, r"tensorize n objects .*alone it gives .*, among others .*; input: \("),
    (NoLatentDim, "have a latent_dim: it must be an integer >= 1, got 2.0"),
    (EncodeBoth, r"encode n inputs .*expected a float tensor of shape \(4, 2\), got .* \(4, 4\)"),
    (EncodeNaN, r"encode n inputs into a finite tensor .*got \[.*nan.*\]; input: \("),
    (EncodeSamples, "encode deterministically in evaluation mode: two calls differ by up to"),
    (EncodeCentres, rf"encode an input the same alone as in a batch: alone it gives .*; input: {ARRAY}"),
    (DecodeTensor, "decode n points into a list .*for 4 points it returned torch.float32 of shape"),
    (
        DecodeDropsInvalid,
        "decode n points into a list .*for 4 points it returned list of length 0; .*input: ",
    ),
    (DecodeAlwaysDraws, r"decode reproducibly: with temperature=0 two calls gave \(.*\) and \(.*input: \["),
    (DecodeUsesTorchsState, "decode with randomness from the generator only: with temperature=1 it changed"),
    (DecodeUsesNumpysState, "decode with randomness from the generator only: with temperature=0 it changed"),
    (DecodeOverflows, r"decode .*and end .*it raised OverflowError: z is too far out; input: \[\[\S*\d{3}\."),
    (DecodeNeedsSinglePrecision, "decode torch.float64 points and end .*it raised RuntimeError: .*dtype"),
    (DecodesWhatItCannotTensorize, "tensorize what it decodes: it raised TypeError: .*; input: "),
    (KeyIsIdentity, "give a point one key, .*: x has the keys .*, its copy"),
    (KeyIsAList, "give a point one key, hashable .*: it raised TypeError: unhashable"),
    (KeyIsTheSum, rf"give different points different keys .*: both have the key 1; input: .*{ARRAY}"),
    (KeyRaises, "have a key for every x: it raised AttributeError: .*canonical"),
    (TensorizeEditsX, r"tensorize n objects .*a second call gave another tensor; input: \[\[0, 1"),
    (MutatesDropsInvalid, "mutate n objects .*for 4 objects it returned list of length 3"),
    (MutatesByTorchsState, "mutate with randomness from the generator only: it changed the global state"),
    (MutatesDifferently, r"mutate reproducibly .*two calls gave \(.*\) and \(.*input: \("),
    (MutatesTheSecondTimeOnly, "mutate n objects .*for 4 objects it returned list of length 3"),
    (MutatesInPlace, r"leave the objects that it mutates as they are: it made \[0, 1.*input: \[1, 1"),
    (CrossesDropsOne, "cross n objects .*for 4 objects it returned list of length 3"),
    (CrossesByTorchsState, "cross with randomness from the generator only: it changed the global state"),
    (CrossesInPlace, r"leave the objects that it crosses as they are: it made \[0, 1.*input: \[1, 1"),
    (MutatesIntoStrings, "tensorize what it mutates into: it raised TypeError: .*; input: "),
    (LossIsMean, r"have \(n,\) finite losses, .*expected a float tensor of shape \(4,\), got .* \(\)"),
    (LossIsInfinite, r"have \(n,\) finite losses, .*got \[inf"),
    (LossIsSharedByTheBatch, rf"have the same expected loss .*: alone .*, in a batch .*; input: {ARRAY}"),
    (StochasticLossIsSharedByTheBatch, rf"have the same expected loss .*mean of 64 calls.*; input: {ARRAY}"),
    (
        LossIsDetached,
        "have a loss with finite gradients that reach the parameters: the loss does not require gradients",
    ),
    (
        LossIgnoresParameters,
        "have a loss with .*: the gradients of all parameters are zero or missing",
    ),
    (GradientIsNaN, "have a loss with finite gradients that reach .*: a gradient is NaN or infinite"),
    (StateDictForgets, "come back exactly .*: after other weights and back, encode differs"),
    (StateDictForgetsTheDecoder, "come back exactly .*: after other weights and back, decode differs"),
    (StateDictOfArrays, "come back exactly .*: all its values must be tensors, got ndarray; input: 'encoder"),
]


class TestCheckLatentModel:
    @pytest.mark.parametrize("model", [TinyVAE, WithNone, Deterministic, Mutates, Crosses])
    def test_correct_models_pass(self, model):
        check_latent_model(model(), BITS)

    @pytest.mark.parametrize("training", [True, False])
    def test_the_model_and_global_random_state_stay_as_they_were(self, training):
        model = TinyVAE().train(training)
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        state = global_random_state()
        check_latent_model(model, BITS)
        assert global_random_state() == state
        assert model.training is training
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())

    @pytest.mark.parametrize(("model", "message"), BROKEN_MODELS)
    def test_broken_models_fail(self, model, message):
        state = global_random_state()
        needs_lists = (TensorizeEditsX, KeyIsIdentity, MutatesInPlace, CrossesInPlace)  # to edit, to copy
        X = [list(x) for x in BITS] if model in needs_lists else BITS
        with pytest.raises(CheckFailedError, match=f"^{model.__name__} must {message}"):
            check_latent_model(model(), X)
        assert global_random_state() == state

    def test_a_decode_without_end_is_noticed(self):
        try:
            with pytest.raises(
                CheckFailedError, match="decode .*and end .*: it took more than 0[.]3 seconds"
            ):
                check_latent_model(DecodeNeverEnds(), BITS, seconds=0.3)
        finally:
            DecodeNeverEnds.released.set()

    def test_a_point_given_twice_is_named(self):
        with pytest.raises(CheckFailedError, match="X must not hold a point twice"):
            check_latent_model(TinyVAE(), [BITS[0], BITS[1], BITS[0]])

    def test_the_cause_is_kept(self):
        with pytest.raises(CheckFailedError, match="cannot represent") as caught:
            check_latent_model(TensorizeRaises(), BITS)
        assert isinstance(caught.value.__cause__, DataError)

    def test_arguments_are_checked(self):
        with pytest.raises(DataError, match="X must hold at least two objects, got 1"):
            check_latent_model(TinyVAE(), BITS[:1])
        with pytest.raises(ParameterError, match="tolerance must be a finite number > 0, got 0"):
            check_latent_model(TinyVAE(), BITS, tolerance=0)
        with pytest.raises(ParameterTypeError, match="seconds must be a finite number > 0, got None"):
            check_latent_model(TinyVAE(), BITS, seconds=None)

    def test_tensors_stand_for_messages_in_one_short_line(self):
        with pytest.raises(CheckFailedError) as caught:
            check_latent_model(EncodeNaN(), [list(np.eye(6)[i]) for i in range(6)])
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1000
