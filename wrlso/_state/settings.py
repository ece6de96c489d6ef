"""The optimizer's constructor arguments: their checks, and the model built from them."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from wrlso._utils.validation import (
    check_choice,
    check_count,
    check_flag,
    check_instance,
    check_real,
    check_seed,
)
from wrlso.acquisition.functions import LogExpectedImprovement, Mixture, ThompsonSampling
from wrlso.acquisition.protocol import Acquisition
from wrlso.catalogue import Catalogue
from wrlso.exceptions import ModelError, ParameterError, ParameterTypeError
from wrlso.models.protocol import LatentModel
from wrlso.models.vae import VAE, Codec
from wrlso.outcomes import Outcome, aims_of
from wrlso.rules.book import Feasible, rules_of
from wrlso.surrogate.auto import AutoSurrogate
from wrlso.surrogate.protocol import Surrogate
from wrlso.surrogate.refit import check_refit_every
from wrlso.training.trainer import Trainer

__all__ = ["Settings", "acquisition_of", "build_model", "check_parameters", "surrogate_or_default", "trains"]

_MODEL_METHODS = (
    "tensorize", "encode", "decode", "loss", "key", "parameters", "state_dict", "load_state_dict", "train",
    "to",
)  # fmt: skip


class Settings(Protocol):
    """The constructor arguments of :class:`wrlso.WeightedRetrainingOptimizer`, as they are now."""

    encoder: nn.Module | None
    decoder: nn.Module | None
    model: LatentModel | None
    likelihood: str
    beta: float
    codec: Codec | None
    feasible: Feasible
    candidates: Any
    generate: bool
    outcomes: Sequence[Outcome] | None
    direction: str
    weighting: Callable[[np.ndarray], np.ndarray] | None
    surrogate: Surrogate | str | None
    acquisition: Acquisition | None
    trainer: Trainer | None
    retrain_every: int | None
    refit_every: int | str | None
    unlabelled_share: float
    device: str | torch.device
    random_state: Any
    verbose: int
    callbacks: Sequence[Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all of them by name."""


def acquisition_of(settings: Settings) -> Acquisition:
    """Return the user's acquisition, or the default: log EI and Thompson sampling in turns."""
    if settings.acquisition is not None:
        return settings.acquisition
    return Mixture([LogExpectedImprovement(), ThompsonSampling()])


def trains(settings: Settings) -> bool:
    """Whether a training of the model has any effect: not where it makes nothing and Z is not looked at."""
    if settings.generate:
        return True
    uses = getattr(acquisition_of(settings), "uses_surrogate", True)
    return bool(uses) and surrogate_or_default(settings.surrogate).space != "features"


def _has_latent_dim(model: Any) -> bool:
    """Whether a model has this attribute, also when reading it still raises ModelError."""
    if "latent_dim" in dir(model):
        return True
    try:
        return hasattr(model, "latent_dim")
    except ModelError:
        return True


def build_model(settings: Settings) -> Any:
    """Return a copy of the user's model, or a VAE of copies of the two networks, on the device."""
    model, encoder, decoder = settings.model, settings.encoder, settings.decoder
    for name, part in (("encoder", encoder), ("decoder", decoder), ("model", model)):
        check_instance(name, part)
    device = _resolve_device(settings.device)
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
        networks = copy.deepcopy(encoder), copy.deepcopy(decoder)
        built = VAE(*networks, settings.likelihood, settings.beta, settings.codec)
    else:
        given = [
            name
            for name, part in (("encoder", encoder), ("decoder", decoder), ("model", model))
            if part is not None
        ]
        raise ParameterError(
            f"give either encoder and decoder, or model; got {' and '.join(given) or 'none'}"
        )
    # Keep the model in eval mode outside training: concurrent calls must not toggle it.
    built.train(False)
    return built.to(device)


def _resolve_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ParameterError(f"device must be 'auto' or a torch device, got {device!r}") from error
    try:
        torch.zeros(1, device=found).item()  # torch names devices that are not there, or hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ParameterError(
            f"device must be one that this machine has ('auto' finds one, 'cpu' is always there), got "
            f"{device!r}: {reason}"
        ) from error
    return found


def surrogate_or_default(surrogate: Surrogate | str | None) -> Surrogate:
    """Return the surrogate that is wanted: the user's, or for None and "auto" the default."""
    if surrogate is None:
        return AutoSurrogate()
    if isinstance(surrogate, str):
        if surrogate != "auto":
            raise ParameterError(
                f"surrogate must be 'auto', None or an object such as FeatureGP(features), got {surrogate!r}"
            )
        return AutoSurrogate()
    return surrogate


def check_parameters(settings: Settings) -> None:
    """Raise ParameterError or ParameterTypeError for an invalid constructor argument."""
    check_choice("direction", settings.direction, ("maximize", "minimize"))
    aims_of(settings.outcomes)
    check_count("retrain_every", settings.retrain_every, none="never")
    check_refit_every(settings.refit_every)
    check_flag("generate", settings.generate)
    if settings.candidates is not None:
        Catalogue.check(settings.candidates)
    check_real("unlabelled_share", settings.unlabelled_share, minimum=0, maximum=1)
    check_seed("random_state", settings.random_state)
    surrogate = surrogate_or_default(settings.surrogate)
    for name in ("weighting", "surrogate", "acquisition", "trainer", "codec"):
        check_instance(name, getattr(settings, name))
    if isinstance(settings.callbacks, str) or not isinstance(settings.callbacks, Iterable):
        raise ParameterTypeError(f"callbacks must be a sequence of objects, got {settings.callbacks!r}")
    for i, callback in enumerate(settings.callbacks):
        check_instance(f"callbacks[{i}]", callback)
    rules_of(settings.feasible)  # names what is wrong
    if settings.weighting is not None and not callable(settings.weighting):
        raise ParameterTypeError(f"weighting must be callable or None, got {settings.weighting!r}")
    for name, method in (("surrogate", "condition_on"), ("acquisition", "propose")):
        part = surrogate if name == "surrogate" else getattr(settings, name)
        if part is not None and not callable(getattr(part, method, None)):
            raise ParameterTypeError(f"{name} must have a method {method}, got {part!r}")
    trainer: Any = settings.trainer
    if trainer is not None:
        if not isinstance(trainer, Trainer):
            raise ParameterTypeError(f"trainer must be a Trainer or None, got {trainer!r}")
        trainer.check_parameters()
    _check_effects(settings)


def _check_effects(settings: Settings) -> None:
    """Raise ParameterError for an argument that another one leaves without effect."""
    if settings.model is not None:
        for name, default in (("likelihood", "bernoulli"), ("beta", 1.0), ("codec", None)):
            if (value := getattr(settings, name)) is not default and value != default:
                raise ParameterError(
                    f"{name} must be {default!r}, the default, where model is given, got {value!r}: it "
                    f"belongs to the model that encoder and decoder make. Set it on the model"
                )
    if settings.outcomes is not None and settings.direction != "maximize":
        raise ParameterError(
            f"direction must be 'maximize', the default, with outcomes, each of which says it: "
            f"Minimize(name) is a goal to make small; got {settings.direction!r}"
        )
    acquisition = settings.acquisition
    if settings.surrogate is not None and not getattr(acquisition, "uses_surrogate", True):
        raise ParameterError(
            f"surrogate must be None with {type(acquisition).__name__}, which uses none, got "
            f"{settings.surrogate!r}"
        )
    trainer = settings.trainer
    if trainer is not None and not trains(settings):
        raise ParameterError(
            f"trainer must be None with generate=False and a surrogate of features, which need no training, "
            f"got {trainer!r}"
        )
    if trainer is not None and trainer.retrain == "scratch":
        for name, default in (("retrain_epochs", "auto"), ("retrain_steps", None), ("retrain_lr", None)):
            # 1 was the default before, and is in the files of that time
            if (value := getattr(trainer, name)) != default and (name, value) != ("retrain_epochs", 1):
                raise ParameterError(
                    f"the trainer's {name} must be {default!r}, the default, with retrain='scratch', where "
                    f"every training is a first one, got {value!r}"
                )
