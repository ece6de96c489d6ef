"""VAE and ready networks: mathematics of the loss, shapes, identity, and every way to be unfit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from wrlso import VAE, DataError, DataTypeError, ModelError, ParameterError, ParameterTypeError, conv_vae
from wrlso.models import LatentModel, coordinate_vae
from wrlso.testing import check_latent_model

BINARY = (np.random.default_rng(0).random((9, 4, 4)) < 0.4).astype(np.uint8)


def flat_vae(n_in=16, d=2, shape=(4, 4), n_out=None, **options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), ToFloat(), nn.Linear(n_in, 2 * d))
    shape_out = shape if n_out is None else (*shape, n_out // math.prod(shape))
    decoder = nn.Sequential(nn.Linear(d, n_out or n_in), nn.Unflatten(1, shape_out))
    return VAE(encoder, decoder, **options)


class ToFloat(nn.Module):
    def forward(self, x):
        return x.float()


def constant_posterior(mean, log_variance, decoder_output):
    """A VAE whose networks ignore their input: its loss has a closed form."""

    class Constant(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(value))

        def forward(self, x):
            return self.value.expand(len(x), *self.value.shape)

    return Constant([*mean, *log_variance]), Constant(decoder_output)


# ---------------------------------------------------------------- mathematics


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.lists(st.floats(-3, 3), min_size=2, max_size=2))
@settings(max_examples=25, deadline=None)
def test_divergence_is_that_of_two_normal_distributions(mean, log_variance):
    networks = constant_posterior(mean, log_variance, [0.0] * 4)
    x = np.zeros((3, 4), np.uint8)
    losses = [VAE(*networks, beta=beta) for beta in (0.0, 1.0)]
    without, with_divergence = (vae.loss(vae.tensorize(x)) for vae in losses)
    q = torch.distributions.Normal(torch.tensor(mean), torch.exp(0.5 * torch.tensor(log_variance)))
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(with_divergence - without, expected.expand(3), rtol=1e-4, atol=1e-4)


@given(
    hnp.arrays(np.uint8, (2, 4), elements=st.integers(0, 1)),
    hnp.arrays(np.float32, 4, elements=st.floats(-9, 9, width=32)),
)
@settings(max_examples=25, deadline=None)
def test_bernoulli_reconstruction_is_the_log_probability(x, logits):
    vae = VAE(*constant_posterior([0.0], [0.0], logits.tolist()))
    inputs = vae.tensorize(x)
    p = 1 / (1 + np.exp(-logits.astype(float)))
    expected = np.log(np.where(x == 1, p, 1 - p)).sum(axis=1)
    actual = vae.log_likelihood(inputs, torch.zeros(2, 1)).detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@given(st.floats(0, 0.9), hnp.arrays(np.float32, 4, elements=st.floats(-9, 9, width=32)))
@settings(max_examples=25, deadline=None)
def test_smoothed_loss_is_the_expected_loss_of_randomized_labels(smoothing, logits):
    """A share s of the labels is drawn anew, each class alike; a Bernoulli variable is two classes."""
    x = np.array([[1, 0, 0, 1]], np.uint8)
    networks = constant_posterior([0.0], [-60.0], logits.tolist())
    plain, smoothed = VAE(*networks, beta=0.0), VAE(*networks, beta=0.0, label_smoothing=smoothing)
    kept = plain.loss(plain.tensorize(x)).item()
    even = np.mean([plain.loss(plain.tensorize(np.full((1, 4), v))).item() for v in (0, 1)])
    expected = (1 - smoothing) * kept + smoothing * even
    assert smoothed.loss(smoothed.tensorize(x)).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    pairs = np.stack([np.zeros(4), logits], axis=1).astype(np.float32).tolist()
    two_classes = VAE(
        *constant_posterior([0.0], [-60.0], pairs),
        likelihood="categorical",
        beta=0.0,
        label_smoothing=smoothing,
    )
    assert two_classes.loss(two_classes.tensorize(x)).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_categorical_and_gaussian_reconstruction_are_log_probabilities():
    logits = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 1.0]])
    x = np.array([[2, 0], [1, 1], [0, 2]])
    vae = VAE(*constant_posterior([0.0], [0.0], logits.tolist()), likelihood="categorical")
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    actual = vae.log_likelihood(vae.tensorize(x), torch.zeros(3, 1)).detach().numpy()
    np.testing.assert_allclose(actual, log_p[0, x[:, 0]] + log_p[1, x[:, 1]], rtol=1e-5)

    mean, x = np.array([1.0, -2.0]), np.array([[0.0, 0.0], [3.0, -2.5]])
    vae = VAE(*constant_posterior([0.0], [0.0], mean.tolist()), likelihood="gaussian")
    standardized = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = (-0.5 * (standardized - mean) ** 2 - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    actual = vae.log_likelihood(vae.tensorize(x), torch.zeros(2, 1)).detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "gaussian"])
def test_samples_follow_the_likelihood(likelihood):
    output = {"bernoulli": [2.0], "categorical": [[0.0, 1.0, 2.0]], "gaussian": [3.0]}[likelihood]
    vae = VAE(*constant_posterior([0.0], [0.0], output), likelihood=likelihood)
    vae.tensorize(np.zeros((1, 1)))
    drawn = np.array(
        vae.decode(torch.zeros(4000, 1), temperature=2.0, generator=torch.Generator().manual_seed(1))
    )
    if likelihood == "bernoulli":
        expected = 1 / (1 + np.exp(-1.0))  # logit 2 at temperature 2
    elif likelihood == "categorical":
        p = np.exp([0.0, 0.5, 1.0])
        expected = p @ [0, 1, 2] / p.sum()
    else:
        expected = 3.0
        assert drawn.var() == pytest.approx(2.0, rel=0.1)
    assert drawn.mean() == pytest.approx(expected, abs=0.1)


# ---------------------------------------------------------------- the contract


@pytest.mark.parametrize(
    ("vae", "X"),
    [
        (flat_vae(), BINARY),
        (flat_vae(likelihood="categorical", n_out=48), BINARY),
        (flat_vae(likelihood="gaussian"), BINARY.astype(float)),
        (conv_vae("small", latent_dim=3, image_size=16, random_state=0), BINARY.repeat(4, 1).repeat(4, 2)),
        (conv_vae("released", latent_dim=2, image_size=16, random_state=0), BINARY.repeat(4, 1).repeat(4, 2)),
        (coordinate_vae(image_size=16, width=8, random_state=0), BINARY.repeat(4, 1).repeat(4, 2)),
    ],
    ids=["bernoulli", "categorical", "gaussian", "small", "released", "coordinate"],
)
def test_every_ready_model_passes_the_check_for_latent_models(vae, X):
    check_latent_model(vae, list(X))
    vae.tensorize(X)
    assert isinstance(vae, LatentModel)


def test_preprint_network_has_the_layers_of_appendix_c4():
    vae = conv_vae("preprint", random_state=0)
    convolutions = [m for m in vae.encoder.modules() if isinstance(m, nn.Conv2d)]
    dense = [m.out_features for m in vae.encoder.modules() if isinstance(m, nn.Linear)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convolutions] == [
        (32, (5, 5), (2, 2)), (64, (5, 5), (2, 2)), (128, (5, 5), (2, 2))
    ]  # fmt: skip
    assert dense == [4096, 1024, 10]
    vae.tensorize(np.zeros((1, 64, 64), np.uint8))
    assert vae.latent_dim == 5


def test_one_tensor_of_twice_the_width_equals_a_pair():
    one = flat_vae()

    class Pair(nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.encoder = encoder

        def forward(self, x):
            return self.encoder(x).chunk(2, dim=1)

    two = VAE(Pair(one.encoder), one.decoder)
    torch.testing.assert_close(one.encode(one.tensorize(BINARY)), two.encode(two.tensorize(BINARY)))


@given(
    hnp.arrays(np.uint8, (4, 4), elements=st.integers(0, 1)),
    st.sampled_from([bool, np.int64, float, np.float32]),
)
def test_identity_is_by_value_not_by_dtype(x, dtype):
    vae = flat_vae()
    assert vae.key(x) == vae.key(x.astype(dtype))
    other = x.copy()
    other[0, 0] = 1 - other[0, 0]
    assert vae.key(x) != vae.key(other)


@pytest.mark.parametrize(
    ("likelihood", "dtype"),
    [
        ("bernoulli", np.uint8),
        ("bernoulli", bool),
        ("bernoulli", float),
        ("categorical", np.int64),
        ("gaussian", float),
    ],
)
def test_what_is_decoded_has_the_dtype_of_what_was_given(likelihood, dtype):
    vae = flat_vae(likelihood=likelihood, n_out=48 if likelihood == "categorical" else None)
    inputs = vae.tensorize(BINARY.astype(dtype))
    for temperature in (0.0, 1.0):
        x = vae.decode(vae.encode(inputs), temperature)[0]
        assert x.dtype == dtype
        assert vae.key(x) == vae.key(x.tolist())


def test_negative_zero_is_zero():
    vae = flat_vae(likelihood="gaussian")
    assert vae.key(np.zeros((4, 4))) == vae.key(-np.zeros((4, 4)))


def test_large_binary_arrays_are_not_copied():
    x = np.zeros((5, 4, 4), np.uint8)
    assert flat_vae().tensorize(x).data_ptr() == x.ctypes.data


def test_codec_translates_and_marks_what_is_invalid():
    class Words:
        def transform(self, X):
            return np.array([[c == "a" for c in word] for word in X], dtype=np.uint8)

        def inverse_transform(self, array):
            return [None if row.all() else "".join("ba"[v] for v in row) for row in array]

    vae = flat_vae(n_in=3, shape=(3,), codec=Words())
    inputs = vae.tensorize(["aab", "bbb"])
    assert inputs.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert vae.key("aab") == "aab"
    with torch.no_grad():
        vae.decoder[0].weight.zero_()
        vae.decoder[0].bias.copy_(torch.tensor([1.0, -1.0, 1.0]))
    assert vae.decode(torch.zeros(1, 2)) == ["aba"]
    with torch.no_grad():
        vae.decoder[0].bias.fill_(1.0)
    assert vae.decode(torch.zeros(1, 2)) == [None]


def test_decoding_what_is_not_finite_gives_none():
    vae = flat_vae()
    vae.tensorize(BINARY)
    assert vae.decode(torch.tensor([[math.nan, 0.0], [0.0, 0.0]]))[0] is None
    assert vae.decode(torch.tensor([[math.nan, 0.0], [0.0, 0.0]]))[1] is not None


def test_encoding_keeps_the_mode_of_every_part():
    vae = flat_vae()
    vae.train()
    vae.decoder.eval()
    vae.encode(vae.tensorize(BINARY))
    assert vae.training
    assert vae.encoder.training
    assert not vae.decoder.training


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("likelihood", "x", "error", "message"),
    [
        ("bernoulli", np.full((1, 4, 4), 2.0), DataError, r"must lie in \[0, 1\].*row 0"),
        ("bernoulli", np.full((1, 4, 4), np.nan), DataError, "must be finite, got NaN or infinity in row 0"),
        ("bernoulli", ["abc"], DataTypeError, "must be an array of numbers, got str in row 0"),
        ("categorical", np.full((1, 4, 4), 0.5), DataError, "whole class indices"),
        ("categorical", np.full((1, 4, 4), -1), DataError, "indices of at least 0, got -1"),
        ("categorical", np.full((1, 4, 4), 7), DataError, r"classes, integers in \[0, 3\), got 7 in row 0"),
        ("gaussian", np.zeros((1, 4, 4), complex), DataTypeError, "array of numbers, got dtype complex128"),
        ("gaussian", [np.zeros((4, 4)), np.zeros(3)], DataError, r"shape \(4, 4\), got \(3,\) in row 1"),
        ("gaussian", np.zeros((1, 5, 4)), DataError, r"shape \(4, 4\), got \(5, 4\)"),
    ],
)
def test_objects_that_the_model_cannot_read(likelihood, x, error, message):
    vae = flat_vae(likelihood=likelihood, n_out=48 if likelihood == "categorical" else None)
    vae.tensorize(BINARY)
    with pytest.raises(error, match=message):
        vae.tensorize(x)


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        (lambda x: torch.zeros(len(x), 3), lambda z: z, r"mean and log-variance, each \(2, d\)"),
        (lambda x: (torch.zeros(2, 2), torch.zeros(2, 3)), lambda z: z, r"got \[\(2, 2\), \(2, 3\)\]"),
        (lambda x: torch.full((2, 4), math.nan), lambda z: z, "encoder must return finite numbers"),
        (lambda x: torch.zeros(2, 4), lambda z: torch.zeros(2, 5), r"does not fit x: expected \(2, 4, 4\)"),
    ],
)
def test_networks_that_do_not_fit(encoder, decoder, message):
    vae = VAE(Returns(encoder), Returns(decoder))
    with pytest.raises(ModelError, match=message):
        vae.tensorize(BINARY)


def test_encoder_and_decoder_of_different_latent_size():
    vae = VAE(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 6)),
        nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, (4, 4))),
    )
    with pytest.raises(ModelError, match="decoder must take latent points of the encoder's dimension 3"):
        vae.tensorize(BINARY)


def test_latent_dimension_is_unknown_before_the_first_x():
    with pytest.raises(ModelError, match="unknown before the first x"):
        _ = flat_vae().latent_dim


def test_encoder_that_starts_to_return_nan_names_the_row():
    vae = flat_vae()
    inputs = vae.tensorize(BINARY)
    with torch.no_grad():
        vae.encoder[2].weight.fill_(math.nan)
    with pytest.raises(ModelError, match="finite means, got NaN or infinity in row 0"):
        vae.encode(inputs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"likelihood": "poisson"}, ParameterError, "likelihood must be one of 'bernoulli', .*got 'poisson'"),
        ({"likelihood": 3}, ParameterTypeError, "likelihood must be one of"),
        ({"beta": -1.0}, ParameterError, "beta must be a finite number >= 0, got -1.0"),
        ({"beta": "1"}, ParameterTypeError, "beta must be a finite number"),
        ({"label_smoothing": 1.0}, ParameterError, "label_smoothing must be .* >= 0 and <= 0.99"),
        ({"label_smoothing": 0.1, "likelihood": "gaussian"}, ParameterError, "it has no classes"),
    ],
)
def test_parameters_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        flat_vae(**options)


def test_networks_must_be_modules():
    with pytest.raises(ParameterTypeError, match="decoder must be a torch.nn.Module"):
        VAE(nn.Linear(2, 2), np.ones)


@pytest.mark.parametrize("make", [conv_vae, coordinate_vae])
def test_initial_weights_follow_random_state_and_leave_the_global_one_alone(make):
    before = torch.random.get_rng_state()
    first, second, other = (make(image_size=16, random_state=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_vae("huge"), "network must be one of"),
        (lambda: conv_vae(image_size=30), "image_size must be a multiple of 16, got 30"),
        (lambda: conv_vae(latent_dim=0), "latent_dim must be an integer of at least 1, got 0"),
        (lambda: coordinate_vae(image_size=30), "image_size must be a multiple of 4, got 30"),
    ],
)
def test_network_sizes_that_cannot_be(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
