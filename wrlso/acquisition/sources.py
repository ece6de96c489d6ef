"""Where the candidates of a :class:`wrlso.CandidatePool` come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from wrlso._utils.estimator import BaseEstimator
from wrlso._utils.validation import check_real
from wrlso.acquisition.landscape import Landscape
from wrlso.acquisition.recombination import Parents, rewritten, some_blocks, spliced
from wrlso.acquisition.screening import Screener
from wrlso.acquisition.state import SearchState
from wrlso.exceptions import ParameterError, ParameterTypeError
from wrlso.models.inference import Array
from wrlso.models.protocol import Crosses, HasBlocks, LatentModel, Mutates

__all__ = ["SUPPLIED", "Cross", "Making", "Mutate", "Near", "Prior", "Rewrite", "Source", "Splice", "usable"]

SUPPLIED = "supplied"  # the source of x without a value that the user gave
_FURTHER = 2.5  # times as long is a step that moves one or two blocks as one that moves all
_FEW = 20.0  # coordinates that a step of few moves, about


@dataclass
class Making:
    """What sources make candidates of, in one ask.

    Attributes
    ----------
    state : SearchState
    landscape : Landscape
        Where the data lies in Z.
    parents : Parents
        Incumbents, and the best candidates so far.
    screener : Screener
        Decodes, and calls the model's own ``mutate`` and ``cross``.
    rng : numpy.random.Generator
        The only source of random numbers.
    wide : float
        At least 1: how much farther than usual to go, where little is new or the search has stalled.
    """

    state: SearchState
    landscape: Landscape
    parents: Parents
    screener: Screener
    rng: np.random.Generator
    wide: float = 1.0

    @property
    def model(self) -> LatentModel:
        """The model."""
        return self.state.model

    def decode(self, Z: Array, temperature: float) -> list[Any]:
        """Decode points (n, d), clipped to where the data lies, half of them at temperature 0."""
        Z = self.landscape.clip(self.rng.permutation(Z))
        half = len(Z) // 2
        anchored = self.state.anchor is not None
        carriers = self.parents.objects(len(Z), self.rng) if anchored else []
        return [
            *self.screener.decode(Z[:half], 0.0, carriers[:half]),
            *self.screener.decode(Z[half:], temperature, carriers[half:]),
        ]


class Source(Protocol):
    """Makes candidates. A class of your own may be one of ``CandidatePool(sources=…)``.

    Examples
    --------
    A source for models of numbers, which proposes the negative of good points:

    >>> from wrlso import CandidatePool
    >>> from wrlso.acquisition import Making, Source
    >>> class Negative:
    ...     name, share = "negative", 1.0
    ...
    ...     def lacks(self, state):
    ...         return None
    ...
    ...     def make(self, count, making: Making):
    ...         return [-x for x in making.parents.objects(count, making.rng)]
    >>> source: Source = Negative()
    >>> pool = CandidatePool(sources=["near", source])
    """

    name: str
    """What proposals and records call it."""

    share: float
    """How many candidates it makes at the start, relative to the others."""

    def lacks(self, state: SearchState) -> str | None:
        """Return what it needs that a search does not have; None where it can be used."""

    def make(self, count: int, making: Making) -> list[Any]:
        """Return up to ``count`` objects, None for each that is not valid."""


class _Part(BaseEstimator):
    """What the sources share."""

    name: str
    share: float

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        check_real("share", self.share, above=0.0)
        if hasattr(self, "temperature"):
            check_real("temperature", self.temperature, minimum=0.0)

    def lacks(self, state: SearchState) -> str | None:
        """Return None: it needs nothing."""
        return None


class _Decoded(_Part):
    """A source that decodes latent points."""

    def __init__(self, share: float = 1.0, *, temperature: float = 1.0) -> None:
        self.share = share
        self.temperature = temperature


class _OfBlocks(_Decoded):
    """A source that decodes rearranged blocks of incumbents."""

    def lacks(self, state: SearchState) -> str | None:
        """Return that it needs blocks, where the model has none."""
        return _without_blocks(state.model)


class _Move(_Part):
    """A source that changes incumbents by a method of the model."""

    protocol: ClassVar[type[Any]]

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def lacks(self, state: SearchState) -> str | None:
        """Return that it needs a method of the model, or points."""
        return _without(state, self.name, self.protocol)


class Near(_Part):
    """Decode points near incumbents: half perturbed, others between two, or moved by differences of data.

    Parameters
    ----------
    share : float, default 1.0
        How many candidates it makes at the start, relative to the other sources.
    sigma : tuple of two floats, default (0.1, 2.0)
        Smallest and largest perturbation, in standard deviations of the data per dimension.
    temperature : float, default 1.0
        Of half of the decodings; the others are decoded at 0.
    """

    name = "near"

    def __init__(
        self, share: float = 1.0, *, sigma: tuple[float, float] = (0.1, 2.0), temperature: float = 1.0
    ) -> None:
        self.share = share
        self.sigma = sigma
        self.temperature = temperature

    def check_parameters(self) -> None:
        """Raise ParameterError or ParameterTypeError for an impossible parameter."""
        super().check_parameters()
        if not isinstance(self.sigma, tuple | list) or len(self.sigma) != 2:
            raise ParameterError(f"sigma must be a pair of numbers (smallest, largest), got {self.sigma!r}")
        check_real("sigma[0]", self.sigma[0], above=0.0)
        check_real("sigma[1]", self.sigma[1], minimum=self.sigma[0])

    def make(self, count: int, making: Making) -> list[Any]:
        """Return decoded objects."""
        rng, parents, rows = making.rng, making.parents, making.landscape.rows
        mixed = moved = count // 4
        share = rng.uniform(size=(mixed, 1))
        pairs = rows[rng.integers(len(rows), size=(2, moved))]
        step = making.wide * rng.uniform(0.2, 0.8, size=(moved, 1))
        points = [
            self._perturbed(parents.latent(count - mixed - moved, rng), making),
            share * parents.latent(mixed, rng) + (1.0 - share) * parents.latent(mixed, rng),
            parents.latent(moved, rng) + step * (pairs[0] - pairs[1]),
        ]
        return making.decode(np.concatenate(points), self.temperature)

    def _perturbed(self, rows: Array, making: Making) -> Array:
        (n, d), rng, block = rows.shape, making.rng, _block(making.model)
        step = making.wide * np.exp(rng.uniform(np.log(self.sigma[0]), np.log(self.sigma[1]), size=(n, 1)))
        noise = step * making.landscape.spread * rng.standard_normal((n, d))
        # half of the steps move a few coordinates only: in high dimensions these stay close to good points
        few = rng.uniform(size=n) < 0.5
        if block == 1:
            noise[few] *= rng.uniform(size=(np.count_nonzero(few), d)) < min(1.0, _FEW / d)
        else:
            noise[few] *= _FURTHER * some_blocks(rows[few], block, rng)
        return np.asarray(rows + noise)


class Prior(_Decoded):
    """Decode samples from where the data lies: the model's own prior, or points around random data.

    Parameters
    ----------
    share, temperature : float, default 1.0
        As of :class:`Near`.
    """

    name = "prior"

    def make(self, count: int, making: Making) -> list[Any]:
        """Return decoded objects."""
        Z = making.landscape.sample(making.model, count, making.rng)
        return making.decode(Z, self.temperature)


class Splice(_OfBlocks):
    """Decode points of blocks of one incumbent, then blocks of another, sometimes moved to other places.

    For models whose z is a sequence of blocks that each say what stands at one place, as
    :class:`wrlso.models.SelfiesVAE`; they say how long a block is, see :class:`wrlso.models.HasBlocks`.

    Parameters
    ----------
    share, temperature : float, default 1.0
        As of :class:`Near`.

    Examples
    --------
    >>> from wrlso import CandidatePool
    >>> from wrlso.acquisition import Rewrite, Splice
    >>> pool = CandidatePool(sources=[Splice(), Rewrite(temperature=0.5)])
    """

    name = "splice"

    def make(self, count: int, making: Making) -> list[Any]:
        """Return decoded objects."""
        parents, rng = making.parents, making.rng
        Z = spliced(parents.latent(count, rng), parents.latent(count, rng), _block(making.model), rng)
        return making.decode(Z, self.temperature)


class Rewrite(_OfBlocks):
    """Decode incumbents of which one to three neighbouring blocks are zero, the mean of N(0, I).

    For models with blocks, as :class:`Splice`, that were trained with hidden ones and fill them plausibly.

    Parameters
    ----------
    share, temperature : float, default 1.0
        As of :class:`Near`.

    Examples
    --------
    >>> from wrlso import CandidatePool
    >>> from wrlso.acquisition import Near, Rewrite
    >>> pool = CandidatePool(sources=[Near(), Rewrite(share=0.2)])
    """

    name = "rewrite"

    def make(self, count: int, making: Making) -> list[Any]:
        """Return decoded objects."""
        Z = rewritten(making.parents.latent(count, making.rng), _block(making.model), making.rng)
        return making.decode(Z, self.temperature)


class Mutate(_Move):
    """Change incumbents a little by the model's own ``mutate``, see :class:`wrlso.models.Mutates`.

    The decoder reproduces what the data contain. Mutation reaches objects outside of them, which the next
    training shows to the model.

    Parameters
    ----------
    share : float, default 1.0
        As of :class:`Near`.

    Examples
    --------
    >>> from wrlso import CandidatePool, LogExpectedImprovement
    >>> from wrlso.acquisition import Mutate
    >>> acquisition = LogExpectedImprovement(search=CandidatePool(sources=[Mutate()]))  # nothing else
    """

    name = "mutate"
    protocol = Mutates

    def make(self, count: int, making: Making) -> list[Any]:
        """Return mutants; where the search goes far, half of them are changed several times."""
        made = making.screener.vary("mutate", making.parents.objects(count, making.rng))
        for _ in range(round(np.log2(making.wide) + 1) if making.wide > 1.0 else 0):
            rows = [i for i in range(0, len(made), 2) if made[i] is not None]
            again = making.screener.vary("mutate", [made[i] for i in rows], again=True)
            for i, x in zip(rows, again, strict=True):
                made[i] = x
        return made


class Cross(_Move):
    """Join parts of two incumbents by the model's own ``cross``, see :class:`wrlso.models.Crosses`.

    Parameters
    ----------
    share : float, default 1.0
        As of :class:`Near`.

    Examples
    --------
    >>> from wrlso import CandidatePool
    >>> from wrlso.acquisition import Cross, Mutate
    >>> pool = CandidatePool(sources=[Mutate(), Cross(share=0.5)])  # two mutants for each child
    """

    name = "cross"
    protocol = Crosses

    def make(self, count: int, making: Making) -> list[Any]:
        """Return the children of pairs."""
        pairs = [making.parents.objects(count, making.rng) for _ in range(2)]
        return making.screener.vary("cross", *pairs)


_ALL: dict[str, type[Any]] = {kind.name: kind for kind in (Near, Prior, Splice, Rewrite, Mutate, Cross)}


def usable(sources: Sequence[str | Source] | None, state: SearchState) -> list[Source]:
    """Return the sources that are wanted, None: all that the search can use, each checked.

    Raises
    ------
    ParameterError, ParameterTypeError
        For a name that is none, for a source twice, and for one that lacks something.
    """
    if sources is None:
        every: list[Source] = [kind() for kind in _ALL.values()]
        return [source for source in every if source.lacks(state) is None]
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        raise ParameterTypeError(f"sources must be a sequence of names or objects, or None, got {sources!r}")
    if not sources:
        raise ParameterError("sources must hold at least one source, got none")
    chosen = [_named(source) for source in sources]
    names = [source.name for source in chosen]
    if len(set(names)) < len(names):
        raise ParameterError(f"sources must hold each source once, got {', '.join(names)}")
    for source in chosen:
        if callable(check := getattr(source, "check_parameters", None)):
            check()
        if (reason := source.lacks(state)) is not None:
            raise ParameterError(f"the source {source.name!r} needs {reason}")
    return chosen


def _named(source: str | Source) -> Source:
    if isinstance(source, str):
        if source not in _ALL:
            raise ParameterError(f"sources must be among {', '.join(_ALL)}, or objects, got {source!r}")
        made: Source = _ALL[source]()
        return made
    if isinstance(source, type) or not callable(getattr(source, "make", None)):
        raise ParameterTypeError(f"a source must be a name or an object with a method make, got {source!r}")
    return source


def _block(model: LatentModel) -> int:
    """Return how many coordinates of z belong together."""
    return model.block if isinstance(model, HasBlocks) else 1


def _without_blocks(model: LatentModel) -> str | None:
    if isinstance(model, HasBlocks):
        return None
    return (
        f"a model whose z has blocks, which {type(model).__name__} does not say: see wrlso.models.HasBlocks"
    )


def _without(state: SearchState, method: str, protocol: type[Any]) -> str | None:
    if not isinstance(state.model, protocol):
        return (
            f"a model with a method {method}, which {type(state.model).__name__} does not have: see "
            f"wrlso.models.{protocol.__name__}"
        )
    return None if state.all_measured.point is not None else "a search state with its points, point=…"
