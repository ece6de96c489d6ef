"""The inner loop of a training: steps, checks for finite numbers, and the way back to good weights."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from wrlso._utils.progress_bar import ProgressBar
from wrlso.exceptions import NonFiniteLossError
from wrlso.models.protocol import LatentModel

__all__ = ["Batch", "Inputs", "Loop"]

Batch = tuple[Tensor, Tensor | None]  # rows, and their weights


class Inputs(Protocol):
    """n tensorized objects: a tensor (n, ...), or anything that returns its rows for an index tensor.

    Examples
    --------
    A tensor is one:

    >>> import torch
    >>> inputs: Inputs = torch.eye(4)
    >>> inputs[torch.tensor([0, 2])].shape
    torch.Size([2, 4])
    """

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Return the rows (m, ...) at the int64 indices (m,)."""


class Loop:
    """Takes steps, and keeps a log of them.

    Parameters
    ----------
    model, inputs
        What is trained, in place, and on what.
    lr : float
        Adam's learning rate.
    grad_clip : float or None
        Largest Euclidean norm of the gradient.
    beta : callable or None
        Step → β; None: ``model.beta`` as it is.
    rise : int, default=0
        Steps in which the learning rate rises from 0: Adam's first steps are as long as later ones, though it
        knows no mean of the gradients yet.
    """

    def __init__(
        self,
        model: LatentModel,
        inputs: Inputs,
        lr: float,
        grad_clip: float | None,
        beta: Callable[[int], float] | None,
        rise: int = 0,
    ) -> None:
        self.model: Any = model
        self.inputs = inputs
        self.parameters: list[torch.nn.Parameter] = [p for p in model.parameters() if p.requires_grad]
        self.device: torch.device = self.parameters[0].device if self.parameters else torch.device("cpu")
        # one pass over the memory for each step, where it is to be had
        fused = self.device.type in ("cpu", "cuda") and all(p.is_floating_point() for p in self.parameters)
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr, fused=fused) if self.parameters else None
        self.lr = lr
        self.grad_clip = grad_clip
        self.beta = beta
        self.rise = rise
        self.final_beta: Any = getattr(model, "beta", None)
        self.was_training: bool = bool(getattr(model, "training", False))
        self.n_steps = 0
        self.log: list[dict[str, float]] = []
        model.train(True)

    def run(self, batches: Sequence[Batch], length: float, epoch: float, bar: ProgressBar) -> None:
        """Take a step for each batch, and log them as one entry.

        Parameters
        ----------
        batches
            Rows and weights of each step.
        length, epoch : float
            Passes over the data that these steps are, and passes so far with them.
        """
        last_good = self.state()
        start, total, count = time.perf_counter(), 0.0, 0
        for rows, weights in batches:
            loss = self._step(rows, weights)
            if not math.isfinite(loss):
                self._give_up(last_good, f"the loss became {loss}", epoch)
            total += loss * len(rows)
            count += len(rows)
            bar.set_postfix(loss=f"{total / count:.4g}", refresh=False)
            bar.update(length / len(batches))
        if not all(bool(torch.isfinite(p).all()) for p in self.parameters):
            self._give_up(last_good, "a weight became NaN or infinite", epoch)
        entry = {"epoch": epoch, "loss": total / count, "n_steps": self.n_steps, "lr": self.lr}
        if self.final_beta is not None:
            entry["beta"] = float(self.model.beta)
        self.log.append(entry | {"seconds": time.perf_counter() - start})

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the model's weights."""
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def close(self) -> None:
        """Leave the model as it was, but for its weights."""
        for parameter in self.parameters:
            parameter.grad = None  # free the gradients, which are as large as the model
        if self.final_beta is not None:
            self.model.beta = self.final_beta
        self.model.train(self.was_training)

    def _step(self, rows: Tensor, weights: Tensor | None) -> float:
        if self.beta is not None:
            self.model.beta = self.beta(self.n_steps)
        self.n_steps += 1
        losses = self.model.loss(self.inputs[rows].to(self.device))
        loss = losses.mean() if weights is None else (losses * weights.to(self.device)).mean()
        value = float(loss.detach())
        if self.optimizer is None or not math.isfinite(value):
            return value
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.grad_clip)
        if self.n_steps <= self.rise:
            self.optimizer.param_groups[0]["lr"] = self.lr * self.n_steps / self.rise
        self.optimizer.step()
        return value

    def _give_up(self, last_good: dict[str, Tensor], what: str, epoch: float) -> None:
        self.model.load_state_dict(last_good)
        raise NonFiniteLossError(
            f"training stopped in epoch {epoch:g}, step {self.n_steps}: {what}; the weights of the last good "
            "epoch are in place. Use a smaller lr, set grad_clip, or rescale the data"
        )
