"""Evaluation in rounds: ask for a batch, evaluate all of it, tell."""

import time
from typing import Any

from wrlso.exceptions import NoCandidateError
from wrlso.run.evaluations import Evaluations, Finished
from wrlso.run.progress import Progress

__all__ = ["run_rounds"]


def run_rounds(progress: Progress, evaluations: Evaluations, batch_size: int, leftovers: list[Any]) -> None:
    """Ask for a batch, evaluate it and tell it in the order in which it was asked, until a reason to stop.

    The optimizer therefore sees the same calls whatever the number of workers.
    """
    while progress.message is None and progress.left > 0:
        n = min(batch_size, progress.left)
        if leftovers:
            X, leftovers = leftovers[:n], leftovers[n:]
        else:
            start = time.time()
            try:
                X = progress.opt.ask(n)
            except NoCandidateError as error:
                progress.message = f"no candidate left: {error}"
                return
            progress.timeline.asks.append((start, time.time()))
        _run_round(progress, evaluations, X)


def _run_round(progress: Progress, evaluations: Evaluations, X: list[Any]) -> None:
    waiting = list(X)  # not submitted yet
    order: list[int] = []  # numbers of the evaluations, in the order of X
    done: dict[int, Finished] = {}  # finished before an earlier one
    told = 0
    try:
        while told < len(X):
            # workers finish a round that they have begun, so that their number makes no difference
            if progress.out_of_time or (progress.message is not None and evaluations.engine.immediate):
                break
            while waiting and evaluations.free > 0:
                order.append(evaluations.submit(waiting[0]))
                waiting.pop(0)
            done |= {finished.number: finished for finished in evaluations.wait(progress.seconds_left)}
            while told < len(order) and order[told] in done:
                progress.take(done.pop(order[told]))
                told += 1
    finally:
        for finished in done.values():
            progress.settle(finished)
        # all of X, as an interrupt may have come anywhere: release skips the points that were told
        progress.clean_up(evaluations, X if told < len(X) else [])
