"""The optimizer's constructor arguments: their checks, and the model that they describe."""

import copy
from typing import Any

import torch
from torch import nn

from wrlso._state.learned import _MODEL_METHODS
from wrlso._utils.validation import check_choice, check_count, check_real
from wrlso.exceptions import ModelError, ParameterError, ParameterTypeError
from wrlso.models.inversion import FIT_ON
from wrlso.models.protocol import LatentModel
from wrlso.models.vae import VAE, Codec
from wrlso.surrogate.refit import check_refit_every
from wrlso.training import Trainer

__all__ = ["build_model", "check_parameters"]


def _has_latent_dim(model: Any) -> bool:
    """Whether a model has this attribute; its value it may know later only, and say so when asked."""
    if "latent_dim" in dir(model):
        return True
    try:
        return hasattr(model, "latent_dim")
    except ModelError:
        return True


def build_model(
    model: LatentModel | None,
    encoder: nn.Module | None,
    decoder: nn.Module | None,
    likelihood: str,
    beta: float,
    codec: Codec | None,
    device: str | torch.device,
) -> Any:
    """Return a copy of the user's model, or a VAE of copies of the two networks, on the device."""
    built: Any
    if model is not None and encoder is None and decoder is None:
        missing = [name for name in _MODEL_METHODS if not callable(getattr(type(model), name, None))]
        missing += [] if _has_latent_dim(model) else ["latent_dim"]
        if missing:
            raise ModelError(
                f"model must be a LatentModel; {type(model).__name__} lacks {', '.join(missing)}"
            )
        built = copy.deepcopy(model)
    elif model is None and encoder is not None and decoder is not None:
        built = VAE(copy.deepcopy(encoder), copy.deepcopy(decoder), likelihood, beta, codec)
    else:
        given = [
            name
            for name, part in (("encoder", encoder), ("decoder", decoder), ("model", model))
            if part is not None
        ]
        raise ParameterError(
            f"give either encoder and decoder, or model; got {' and '.join(given) or 'none'}"
        )
    # always in evaluation mode but for its training: threads that switch it to and fro would meet
    built.train(False)
    return built.to(_resolve_device(device))


def _resolve_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ParameterError(f"device must be 'auto' or a torch device, got {device!r}") from error


def check_parameters(opt: Any) -> None:
    """Raise ParameterError or ParameterTypeError for a constructor argument that cannot be."""
    check_choice("direction", opt.direction, ("maximize", "minimize"))
    check_count("retrain_every", opt.retrain_every, none="never")
    check_refit_every(opt.refit_every)
    check_choice("fit_on", opt.fit_on, FIT_ON)
    check_real("unlabelled_share", opt.unlabelled_share, minimum=0, maximum=1)
    for name in ("feasible", "weighting"):
        if getattr(opt, name) is not None and not callable(getattr(opt, name)):
            raise ParameterTypeError(f"{name} must be callable or None, got {getattr(opt, name)!r}")
    for name, method in (("surrogate", "condition_on"), ("acquisition", "propose")):
        part = getattr(opt, name)
        if part is not None and not callable(getattr(part, method, None)):
            raise ParameterTypeError(f"{name} must have a method {method}, got {part!r}")
    if opt.trainer is not None:
        if not isinstance(opt.trainer, Trainer):
            raise ParameterTypeError(f"trainer must be a Trainer or None, got {opt.trainer!r}")
        opt.trainer.check_parameters()
