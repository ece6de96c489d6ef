"""Evaluation in rounds: ask for a batch, evaluate all of it, tell."""

import time
from typing import Any

from wrlso.exceptions import NoCandidateError
from wrlso.run.evaluations import Crew, Finished
from wrlso.run.progress import Progress

__all__ = ["run_rounds"]


def run_rounds(progress: Progress, crew: Crew, batch_size: int, leftovers: list[Any]) -> None:
    """Ask for a batch, evaluate it, tell it in the order in which it was asked, until there is a reason.

    So the optimizer sees the same calls whatever the number of workers.
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
        _run_round(progress, crew, X)


def _run_round(progress: Progress, crew: Crew, X: list[Any]) -> None:
    waiting = list(X)  # not submitted yet
    order: list[int] = []  # numbers of the evaluations, in the order of X
    done: dict[int, Finished] = {}  # that ended before an earlier one
    told = 0
    try:
        while told < len(X):
            # a round that workers have begun is finished, so that their number makes no difference
            if progress.out_of_time or (progress.message is not None and crew.engine.immediate):
                break
            while waiting and crew.free > 0:
                order.append(crew.submit(waiting[0]))
                waiting.pop(0)
            done |= {finished.number: finished for finished in crew.wait(progress.seconds_left)}
            while told < len(order) and order[told] in done:
                progress.take(done.pop(order[told]))
                told += 1
    finally:
        for finished in done.values():
            if finished.error is None:
                progress.tell(finished.evaluation)
        # all of them, as an interrupt may have come anywhere; those that were told are none to release
        progress.clean_up(crew, X if told < len(X) else [])
