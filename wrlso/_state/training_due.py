"""When the model is trained next."""

__all__ = ["training_due_in"]


def training_due_in(
    retrain_every: int | None, n_observed: int, n_at_training: int, n_trainings: int
) -> int | None:
    """Return after how many new values the next ask trains first.

    Parameters
    ----------
    retrain_every : int or None
        Of the optimizer.
    n_observed, n_at_training : int
        Distinct points with a value, now and at the last training.
    n_trainings : int
        Trainings so far.

    Returns
    -------
    int or None
        0 when the next ask trains; None when no ask trains any more.

    Examples
    --------
    >>> training_due_in(50, 120, 100, 1), training_due_in(50, 150, 100, 1), training_due_in(None, 150, 100, 1)
    (30, 0, None)
    """
    if n_trainings == 0:
        return 0
    return None if retrain_every is None else max(0, retrain_every - (n_observed - n_at_training))
