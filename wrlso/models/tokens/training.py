"""Training a sequence model from nothing, with a schedule and checkpoints; fine-tuning is the Trainer's."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from wrlso._utils.progress_bar import ProgressBar
from wrlso._utils.random import isolated_torch_rng
from wrlso.exceptions import NonFiniteLossError

__all__ = ["SequenceTraining", "fast_in_bfloat16"]

_WARM_UP = 200  # steps until the learning rate is reached
_SORTED = 40  # batches whose rows are sorted by length together, so that short rows need little padding
_BETA_FROM, _BETA_TO = 0.15, 0.6  # the model learns the code first, then compresses it


class SequenceTraining:
    """AdamW with warm-up and cosine decay; the divergence's weight grows to ``model.beta``.

    :meth:`state_dict` holds everything that a later run needs to continue.

    Parameters
    ----------
    model : module with ``loss``, ``beta`` and ``parameters``
        Trained in place.
    lr : float
        Largest learning rate.
    batch_size : int
    random_state : int
        Seed of the order of the rows and of the samples from the posterior.
    beta_start : float, default=None
        The divergence's first weight; None: 7 % of ``model.beta``.
    """

    def __init__(
        self,
        model: Any,
        *,
        lr: float = 2e-3,
        batch_size: int = 256,
        random_state: int = 0,
        beta_start: float | None = None,
    ) -> None:
        self.beta_start = 0.07 * model.beta if beta_start is None else beta_start
        self.model, self.lr, self.batch_size, self.random_state = model, lr, batch_size, random_state
        self.parameters = list(model.parameters())
        # a short memory of squared gradients, because the loss falls fast at first
        self.optimizer = torch.optim.AdamW(self.parameters, lr=lr, weight_decay=0.0, betas=(0.9, 0.99))
        self.beta = model.beta
        self.seconds, self.n_steps, self.n_examples, self.progress = 0.0, 0, 0, 0.0
        self.loss = math.nan

    def run(
        self,
        inputs: Tensor,
        epochs: float | None = None,
        *,
        minutes: float | None = None,
        shares: Tensor | None = None,
        on_check: Callable[["SequenceTraining"], None] | None = None,
        check_every: float = 120.0,
        verbose: int = 0,
    ) -> None:
        """Train for a number of epochs or minutes, including those of earlier runs.

        Parameters
        ----------
        inputs : Tensor (n, t)
            Token numbers.
        epochs, minutes : float
            Give one of them; the schedule follows it.
        shares : Tensor (n,), default=None
            Each row's probability to be in an epoch; None: 1.
        on_check : callable, default=None
            Called with this object every ``check_every`` seconds and at the end, e.g. to write a checkpoint.
        verbose : int, default=0
            From 1 on show a progress bar.
        """
        n_total = (
            None if epochs is None else epochs * (len(inputs) if shares is None else float(shares.sum()))
        )
        lengths = (inputs != 0).sum(dim=1)
        tick = checked = time.perf_counter()
        mode = self.model.training
        self.model.train()
        bar = ProgressBar(
            total=100, initial=round(100 * self.progress), desc="training", unit="%", disable=not verbose
        )
        try:
            with isolated_torch_rng(self.random_state + self.n_steps), bar:
                for rows in self._batches(lengths, shares):
                    now = time.perf_counter()
                    self.seconds, tick = self.seconds + now - tick, now
                    used = self.seconds / (60.0 * minutes) if minutes else self.n_examples / (n_total or 1.0)
                    self.progress = min(1.0, used)
                    bar.update(int(100 * self.progress) - bar.n)
                    if self.progress >= 1.0:
                        break
                    self._step(inputs[rows])
                    if on_check is not None and now - checked > check_every:
                        on_check(self)
                        checked = time.perf_counter()
            if on_check is not None:
                on_check(self)
        finally:
            self.model.beta = self.beta
            self.model.train(mode)

    def summary(self) -> dict[str, float]:
        """Return the progress: seconds, steps, examples, and the smoothed loss at the current beta."""
        return {
            "seconds": round(self.seconds, 1),
            "n_steps": self.n_steps,
            "n_examples": self.n_examples,
            "progress": round(self.progress, 4),
            "beta": round(float(self.model.beta), 5),
            "loss": round(self.loss, 4),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a later run needs beside the model's weights."""
        counters = {name: getattr(self, name) for name in ("seconds", "n_steps", "n_examples", "progress")}
        return {"optimizer": self.optimizer.state_dict(), **counters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of :meth:`state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("seconds", "n_steps", "n_examples", "progress"):
            setattr(self, name, state[name])

    def _batches(self, lengths: Tensor, shares: Tensor | None) -> Iterator[Tensor]:
        while True:
            order = torch.randperm(len(lengths))
            if shares is not None:
                order = order[torch.rand(len(order)) < shares[order]]
            for part in order.split(_SORTED * self.batch_size):
                batches = part[lengths[part].argsort()].split(self.batch_size)
                for i in torch.randperm(len(batches)):
                    yield batches[i]

    def _step(self, inputs: Tensor) -> None:
        decay = max(0.01, 0.5 * (1.0 + math.cos(math.pi * self.progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * min(1.0, (self.n_steps + 1) / _WARM_UP) * decay
        grown = min(1.0, max(0.0, (self.progress - _BETA_FROM) / (_BETA_TO - _BETA_FROM)))
        self.model.beta = self.beta_start ** (1.0 - grown) * self.beta**grown
        loss = self.model.loss(inputs).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 20.0)
        self.optimizer.step()
        self.n_steps += 1
        self.n_examples += len(inputs)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"training stopped in step {self.n_steps}: the loss became {value}; use an lr smaller than "
                f"{self.lr:g}"
            )
        self.loss = value if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * value


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 matrix products are faster than float32 ones on a device."""
    if device.type == "cuda":
        return True
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())
