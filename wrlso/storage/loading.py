"""How an optimizer is made of a campaign's folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from wrlso.exceptions import StorageError
from wrlso.storage.folder import Campaign
from wrlso.storage.journal import open_journal
from wrlso.storage.parameters import load_parameters
from wrlso.storage.session import Session

__all__ = ["HasSession", "load_optimizer"]


class HasSession(Protocol):
    """An optimizer: it holds a session."""

    _session: Session


Optimizer = TypeVar("Optimizer", bound=HasSession)


def load_optimizer(
    make: Callable[..., Optimizer], path: str | Path, given: dict[str, Any], *, autosave: bool
) -> Optimizer:
    """Return the optimizer of a campaign; see :meth:`wrlso.WeightedRetrainingOptimizer.load`.

    Parameters
    ----------
    make : callable
        Called with the constructor arguments.
    path : path
    given : dict
        Constructor arguments of the user's; None: the stored one.
    autosave : bool
        Whether changes are committed from now on.
    """
    path = Path(path).absolute()
    journal = open_journal(path) if autosave else None  # an error now, rather than after seconds
    try:
        for attempt in range(3):
            campaign = Campaign(path, read_only=True)
            try:
                opt = _loaded(make, campaign, given)
                break
            except StorageError as error:
                # another process may have put new weights in the place of those that were to be read
                if attempt == 2 or not isinstance(error.__cause__, FileNotFoundError):
                    raise
            finally:
                campaign.close()
    except BaseException:
        if journal is not None:
            journal.close()
        raise
    if journal is not None:
        campaign.journal = journal  # the first call takes in what others have committed since
        opt._session.campaign = campaign
    return opt


def _loaded(make: Callable[..., Optimizer], campaign: Campaign, given: dict[str, Any]) -> Optimizer:
    with campaign.transaction(write=False):
        campaign.journal.check()
        parameters = load_parameters(campaign, given)
        try:
            opt = make(**parameters)
        except TypeError as error:
            raise StorageError(f"{campaign.path} was saved by a newer wrlso, install it: {error}") from error
        opt._session.read(campaign)
    return opt
