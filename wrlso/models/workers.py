"""Decoding many latent points in several processes."""

from collections.abc import Iterable
from typing import Any

import joblib
import torch
from torch import Tensor

from wrlso._utils.validation import check_jobs
from wrlso.exceptions import DataError, DataTypeError
from wrlso.models.protocol import LatentModel

__all__ = ["decode_in_workers"]

_CHUNK = 256  # latent points of one task: results do not depend on the number of workers


def decode_in_workers(
    model: LatentModel,
    Z: Tensor,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    *,
    n_jobs: int = -1,
) -> list[Any]:
    """Decode as ``model.decode`` does, 256 latent points at a time in worker processes.

    It pays for a thousand points and more, where decoding is work for one core, as with
    :class:`JunctionTreeVAE`: two workers decoded a third more than one process, once they were there.
    They take seconds to start and stay for the next call.

    Parameters
    ----------
    model : LatentModel
        It is copied to the workers, and must be on the CPU.
    Z : Tensor (n, d)
    temperature : float, default=0
    generator : torch.Generator, default=None
        Gives each task a seed of its own; None: torch's own one.
    n_jobs : int, default=-1
        Number of processes, -1: one for each core. The result does not depend on it, but at temperature 0 on
        rounding, which depends on the sizes of batches.

    Returns
    -------
    list of n objects, None where nothing came out

    Raises
    ------
    DataError, DataTypeError
        When Z does not have two dimensions, or is no array of numbers.
    ParameterError, ParameterTypeError
        When ``n_jobs`` is neither -1 nor a positive integer.

    Examples
    --------
    >>> from wrlso.models import JunctionTreeVAE
    >>> model = JunctionTreeVAE.pretrained()
    >>> Z = model.sample_prior(600, torch.Generator().manual_seed(0))
    >>> len(decode_in_workers(model, Z, n_jobs=2))
    600
    """
    check_jobs(n_jobs)
    try:
        Z = torch.as_tensor(Z)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataTypeError(f"Z must be latent points (n, {model.latent_dim}), got {Z!r:.80}") from error
    if Z.ndim != 2:
        raise DataError(f"Z must have shape (n, {model.latent_dim}), got {tuple(Z.shape)}")
    # of their own, as pickling a part of a tensor writes all of it
    parts = [part.clone() for part in Z.detach().split(_CHUNK)] if len(Z) else []
    seeds = torch.randint(2**62, (len(parts),), generator=generator).tolist()
    with joblib.parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1):
        found: Iterable[list[Any]] = joblib.Parallel()(
            joblib.delayed(_decoded)(model, part, temperature, seed)
            for part, seed in zip(parts, seeds, strict=True)
        )
    return [x for part in found for x in part]


def _decoded(model: LatentModel, Z: Tensor, temperature: float, seed: int) -> list[Any]:
    return list(model.decode(Z, temperature, torch.Generator().manual_seed(seed)))
