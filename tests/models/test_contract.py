"""What users' networks, codecs and models return: read, or refused by a sentence that says what is wanted."""

import numpy as np
import pytest
import torch
from torch import nn

from wrlso import (
    VAE,
    DataError,
    DataTypeError,
    ModelError,
    ParameterTypeError,
    PriorSampling,
    Trainer,
    WeightedRetrainingOptimizer,
)
from wrlso.testing import check_latent_model

RNG = np.random.default_rng(0)
LENGTH, CLASSES = 4, 5
INDICES = RNG.integers(0, CLASSES, (12, LENGTH))
ONE_HOT = np.eye(CLASSES)[INDICES]
BINARY = (RNG.random((12, 6)) < 0.5).astype(np.uint8)


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def embedding(n=CLASSES):
    return seeded(lambda: nn.Sequential(nn.Embedding(n, 3), nn.Flatten(), nn.Linear(3 * LENGTH, 4)))


def linear():
    return seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(LENGTH * CLASSES, 4)))


def decoder(n=CLASSES):
    return seeded(lambda: nn.Sequential(nn.Linear(2, LENGTH * n), nn.Unflatten(1, (LENGTH, n))))


def categorical(encoder, n=CLASSES, **options):
    return VAE(encoder, decoder(n), likelihood="categorical", **options)


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize("encoder", [embedding, linear], ids=["embedding", "linear"])
@pytest.mark.parametrize("dtype", [float, np.float32, int, np.uint8, bool])
def test_one_hot_is_read_and_comes_back(encoder, dtype):
    vae = categorical(encoder())
    X = ONE_HOT.astype(dtype)
    before = [vae.key(x) for x in X]
    inputs = vae.tensorize(X)
    np.testing.assert_array_equal(inputs, INDICES)
    assert [vae.key(x) for x in X] == before
    for temperature in (0.0, 1.0):
        for x in vae.decode(vae.encode(inputs), temperature):
            assert x.dtype == dtype
            assert x.shape == (LENGTH, CLASSES)
            assert (x.sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(vae.restore(inputs.numpy()), X)


def test_one_hot_and_indices_are_one_model():
    """With an encoder of indices both ways of writing x have the same encodings and losses."""
    one_hot, indices = categorical(embedding()), categorical(embedding())
    first, second = one_hot.tensorize(ONE_HOT), indices.tensorize(INDICES)
    assert torch.equal(first, second)
    assert torch.equal(one_hot.encode(first), indices.encode(second))
    Z = torch.zeros(12, 2)
    assert torch.equal(one_hot.log_likelihood(first, Z), indices.log_likelihood(second, Z))


@pytest.mark.parametrize("encoder", [embedding, linear], ids=["embedding", "linear"])
def test_a_model_of_one_hot_keeps_the_contract(encoder):
    distinct = np.unique(INDICES, axis=0)
    check_latent_model(categorical(encoder()), list(np.eye(CLASSES)[distinct]))


def test_a_campaign_of_one_hot_resumes(tmp_path):
    options = {"likelihood": "categorical", "random_state": 0}
    opt = WeightedRetrainingOptimizer(linear(), decoder(), **options).fit(ONE_HOT, INDICES.sum(axis=1))
    opt.autosave(tmp_path / "campaign")
    again = WeightedRetrainingOptimizer.load(
        tmp_path / "campaign", encoder=linear(), decoder=decoder(), autosave=False
    )
    np.testing.assert_array_equal(again.ask(2), opt.ask(2))


def test_binary_indices_that_look_one_hot_stay_indices():
    """The decoder decides: it has another axis of classes."""
    x = np.tile(np.eye(3, dtype=int), (4, 1, 1))
    encoder = nn.Sequential(nn.Flatten(), Returns(torch.Tensor.float), nn.Linear(9, 4))
    vae = VAE(encoder, nn.Sequential(nn.Linear(2, 18), nn.Unflatten(1, (3, 3, 2))), likelihood="categorical")
    np.testing.assert_array_equal(vae.tensorize(x), x)


def test_a_row_that_is_not_one_hot_is_named():
    vae = categorical(linear())
    X = ONE_HOT.copy()
    X[7, 2] = 0
    with pytest.raises(DataError, match=r"one-hot as the first x, one 1 and else 0 .* row 7 is not"):
        vae.tensorize(X)
    vae.tensorize(ONE_HOT)
    with pytest.raises(DataError, match="row 7 is not"):
        vae.tensorize(X)


def test_what_looks_one_hot_and_fits_no_way_says_what_is_wanted():
    with pytest.raises(ModelError, match="like the one-hot x, got"):
        categorical(linear(), n=4).tensorize(ONE_HOT)


@pytest.mark.parametrize("row", [0, 1, 9])
@pytest.mark.parametrize("n_decoded", [5, 9])
def test_a_class_that_the_encoder_does_not_know_is_named_by_row(row, n_decoded):
    X = INDICES.copy()
    X[row, 3] = 8
    vae = categorical(embedding(5), n_decoded)
    with pytest.raises(DataError, match=rf"integers in \[0, 5\), got 8 in row {row}"):
        vae.tensorize(X)
    with pytest.raises(ModelError, match="unknown before the first x"):
        _ = vae.latent_dim  # nothing was learned


def test_decoder_with_more_classes_than_the_encoder():
    with pytest.raises(ModelError, match=r"every class that the decoder gives, .*\[0, 9\).*\[0, 5\) only"):
        categorical(embedding(5), 9).tensorize(INDICES)


@pytest.mark.parametrize(
    ("value", "message"), [(0.5, "fractions in row 4"), (-2, "at least 0, got -2.* row 4")]
)
def test_what_is_no_class_is_named_by_row(value, message):
    X = INDICES.astype(float)
    X[4, 1] = value
    with pytest.raises(DataError, match=message):
        categorical(embedding()).tensorize(X)


# ---------------------------------------------------------------- networks

ENCODED = r"must return mean and log-variance, each \(2, d\), or one tensor \(2, 2d\), of floats, got "


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda x: {"mean": x, "std": x}, ENCODED + "a dict with the keys 'mean', 'std'"),
        (lambda x: (x[:, :2],) * 3, ENCODED + r"\[\(2, 2\), \(2, 2\), \(2, 2\)\]"),
        (lambda x: (x[:, :2],), ENCODED + r"\[\(2, 2\)\]"),
        (lambda x: (x[:, :2], None), ENCODED + r"\[\(2, 2\), None of type NoneType\]"),
        (lambda x: None, ENCODED + "None of type NoneType"),
        (lambda x: "abc", ENCODED + "'abc' of type str"),
        (lambda x: torch.distributions.Normal(x[:, :2], 1.0), ENCODED + "Normal"),
        (lambda x: x[:1, :4], ENCODED + r"\(1, 4\)"),
        (lambda x: x[:, :0], ENCODED + r"\(2, 0\)"),
        (lambda x: x[:, :4].long(), ENCODED + r"\(2, 4\) of torch.int64"),
        (lambda x: x.numpy()[:, :4], ENCODED),
        (lambda x: x.nonsense, "failed on one of shape .*AttributeError"),
        (lambda x: x[:, [9]], "failed on one of shape .*IndexError"),
    ],
)
def test_what_an_encoder_returns(encode, message):
    vae = VAE(Returns(encode), nn.Linear(2, 6))
    with pytest.raises(ModelError, match=message):
        vae.tensorize(BINARY)


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (lambda z: {"logits": z}, r"float tensor \(2, ...\), got a dict with the keys 'logits'"),
        (lambda z: (z, z), r"got \[\(2, 2\), \(2, 2\)\]"),
        (lambda z: None, "got None"),
        (lambda z: z.sum(), r"got \(\)"),
        (lambda z: z[:1], r"got \(1, 2\)"),
        (lambda z: z.long(), "of torch.int64"),
        (lambda z: z, r"does not fit x: expected \(2, 6\) like x, got \(2, 2\)"),
        (lambda z: z["key"], "but failed on an input of shape"),
    ],
)
def test_what_a_decoder_returns(decode, message):
    vae = VAE(nn.Linear(6, 4), Returns(decode))
    with pytest.raises(ModelError, match=message):
        vae.tensorize(BINARY)


def test_networks_that_change_their_mind():
    vae = VAE(nn.Linear(6, 4), nn.Linear(2, 6))
    inputs = vae.tensorize(BINARY)
    vae.encoder, vae.decoder = Returns(lambda x: {"mean": x}), Returns(lambda z: z[:1])
    with pytest.raises(ModelError, match="got a dict"):
        vae.encode(inputs)
    with pytest.raises(ModelError, match=r"the decoder must return a float tensor \(3, ...\), got \(1, 2\)"):
        vae.decode(torch.zeros(3, 2))


@pytest.mark.parametrize(
    "dtypes", [(torch.float64,) * 2, (torch.float64, torch.float32), (torch.bfloat16,) * 2]
)
@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "gaussian", "one-hot"])
def test_networks_of_other_precision_work(dtypes, likelihood):
    X = {"categorical": INDICES, "one-hot": ONE_HOT}.get(likelihood, BINARY)
    name = "categorical" if likelihood == "one-hot" else likelihood
    networks = {
        "categorical": (embedding(), decoder()),
        "one-hot": (linear(), decoder()),
    }.get(likelihood, (nn.Linear(6, 4), nn.Linear(2, 6)))
    encoder, decoding = (network.to(dtype) for network, dtype in zip(networks, dtypes, strict=True))
    opt = WeightedRetrainingOptimizer(
        encoder, decoding, likelihood=name, random_state=0, trainer=Trainer(initial_epochs=2)
    ).fit(X, np.arange(12.0))
    batch = opt.ask(3)
    opt.tell(batch, [1.0, 2.0, 3.0]).retrain()
    assert next(opt.model_.encoder.parameters()).dtype == dtypes[0]
    assert np.array(batch).dtype == X.dtype


def test_half_precision_is_refused():
    with pytest.raises(ModelError, match=r"float32, float64 or bfloat16, got float16.*\.float\(\)"):
        VAE(nn.Linear(6, 4).half(), nn.Linear(2, 6)).tensorize(BINARY)


# ---------------------------------------------------------------- codecs


class Codec:
    """Turns texts into six bits and back, but for what it is told to do otherwise."""

    def __init__(self, transform=None, inverse=None):
        self.transform = transform or (lambda X: np.array([[c == "1" for c in x] for x in X]))
        self.inverse_transform = inverse or (lambda A: ["".join("01"[int(c)] for c in row) for row in A])


TEXTS = ["".join(map(str, row)) for row in BINARY]


def coded(**functions):
    return VAE(nn.Linear(6, 4), nn.Linear(2, 6), codec=Codec(**functions))


@pytest.mark.parametrize(
    ("transform", "error", "message"),
    [
        (lambda X: np.zeros((3, 6)), ModelError, r"of shape \(12, ...\), one row for each object, got"),
        (lambda X: 1.0, ModelError, "must return an array of numbers"),
        (lambda X: None, ModelError, "must return an array of numbers"),
        (lambda X: [list(range(i)) for i in range(len(X))], ModelError, "one array for all objects"),
        (lambda X: np.full((len(X), 6), "a"), ModelError, "array of numbers"),
        (lambda X: np.full((len(X), 6), np.nan), DataError, "must be finite, got NaN or infinity in row 0"),
        (lambda X: [x.upper for x in X][99], DataError, "IndexError: .*codec.transform cannot read x"),
        (lambda X: 1 + "a", DataTypeError, "TypeError: .*codec.transform cannot read x"),
    ],
)
def test_what_a_codec_returns(transform, error, message):
    with pytest.raises(error, match=message):
        coded(transform=transform).tensorize(TEXTS)


def test_an_object_that_a_codec_refuses_is_named():
    def transform(X):
        return np.array([[int(c) for c in x] for x in X])

    with pytest.raises(DataError, match="invalid literal.*cannot read x in row 2, 'oops11'"):
        coded(transform=transform).tensorize(["010101", "000000", "oops11"])


def test_a_sparse_matrix_from_a_codec_is_an_array():
    sparse = pytest.importorskip("scipy.sparse")
    inputs = coded(transform=lambda X: sparse.csr_matrix(BINARY[: len(X)])).tensorize(TEXTS)
    np.testing.assert_array_equal(inputs, BINARY)


@pytest.mark.parametrize(
    ("inverse", "message"),
    [
        (lambda A: ["x"], "for each of 12 arrays, got 1"),
        (lambda A: "x" * len(A), "got str"),
        (lambda A: None, "raised TypeError"),
        (lambda A: A["key"], "must return an object, or None .* raised IndexError"),
    ],
)
def test_what_a_codec_makes_of_arrays(inverse, message):
    vae = coded(inverse=inverse)
    inputs = vae.tensorize(TEXTS)
    with pytest.raises(ModelError, match=message):
        vae.decode(vae.encode(inputs))


def test_a_tuple_that_holds_a_list_has_a_key():
    vae = coded(transform=lambda X: np.array([x[0] for x in X]))
    x, y = ([1, 0, 1, 0, 1, 0],), ([0] * 6,)
    vae.tensorize([x, y])
    assert vae.key(x) == vae.key(([1, 0, 1, 0, 1, 0],))
    assert vae.key(x) != vae.key(y)


@pytest.mark.parametrize("name", ["encoder", "decoder", "codec"])
def test_a_class_in_place_of_an_object(name):
    parts = {"encoder": nn.Linear(6, 4), "decoder": nn.Linear(2, 6), "codec": Codec()}
    parts[name] = type(parts[name])
    with pytest.raises(ParameterTypeError, match=f"{name} must be an object, got the class"):
        VAE(**parts)


# ---------------------------------------------------------------- models of one's own


def model_with(**methods):
    model = VAE(nn.Linear(6, 4), nn.Linear(2, 6))
    model.__class__ = type("Own", (VAE,), methods)
    return model


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"key": lambda self, x: list(x)}, r"Own\.key must return something hashable .*got \["),
        (
            {"tensorize": lambda self, X: torch.zeros(3, 6)},
            r"tensorize must return .*\(12, ...\), got shape \(3, 6\)",
        ),
        ({"tensorize": lambda self, X: np.asarray(X)}, r"tensorize must return .*got ndarray"),
    ],
)
def test_what_a_model_makes_of_data(methods, message):
    opt = WeightedRetrainingOptimizer(model=model_with(**methods), random_state=0)
    with pytest.raises(ModelError, match=message):
        opt.fit(BINARY, np.arange(12.0))
    assert opt._session.learned is None


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"decode": lambda self, *a: [BINARY[0]]}, r"Own\.decode must return a list of one object .*, got 1"),
        ({"decode": lambda self, *a: None}, r"Own\.decode must return a list .*got NoneType"),
        ({"encode": lambda self, inputs: torch.zeros(1, 2)}, r"Own\.encode must return .*got shape \(1, 2\)"),
        (
            {"encode": lambda self, inputs: torch.zeros(len(inputs), 9)},
            r"Own\.encode must return a float tensor",
        ),
        ({"encode": lambda self, inputs: None}, r"Own\.encode must return .*got NoneType"),
    ],
)
def test_what_a_model_returns_in_a_search(methods, message):
    opt = WeightedRetrainingOptimizer(
        model=model_with(), acquisition=PriorSampling(), random_state=0, trainer=Trainer(initial_epochs=0)
    ).fit(BINARY, np.arange(12.0))
    opt.model_.__class__ = type("Own", (VAE,), methods)
    with pytest.raises(ModelError, match=message):
        opt.ask(2)
    assert not opt.pending_
