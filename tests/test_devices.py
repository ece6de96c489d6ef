"""With a GPU: the model goes there by itself, and says the same as on the CPU."""

import numpy as np
import pytest
import torch
from conftest import make_optimizer, words

from wrlso._state.settings import build_model

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def fitted(device):
    X = words()
    return make_optimizer(device=device).fit(X, X.sum(axis=1))


@needs_gpu
def test_a_gpu_is_used_when_there_is_one():
    assert next(fitted("auto").model_.parameters()).device.type == "cuda"


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_encode_loss_and_predict_agree_with_the_cpu_at_fixed_weights(device):
    """On the CPU itself it checks the comparison."""
    here = fitted("cpu")
    here.ask()
    core = here._session.learned
    model = build_model(here).to(device)
    model.load_state_dict({name: tensor.to(device) for name, tensor in here.model_.state_dict().items()})
    model.train(False)
    inputs = here.model_.tensorize(words())
    with torch.no_grad():
        Z, there = here.model_.encode(inputs).double(), model.encode(inputs.to(device)).cpu().double()
        torch.testing.assert_close(there, Z, rtol=1e-4, atol=1e-5)
        # the encoder's noise is drawn per device: its mean over many draws is what can be compared
        losses = []
        for one, batch in ((here.model_, inputs), (model, inputs.to(device))):
            torch.manual_seed(0)
            losses.append(torch.stack([one.loss(batch).cpu() for _ in range(300)]).double().mean(0))
        torch.testing.assert_close(losses[1], losses[0], rtol=0.05, atol=0.05)
    for one, other in zip(
        core.fitted.surrogate.predict(Z), core.fitted.surrogate.predict(there), strict=True
    ):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-3, atol=1e-4)
