"""Eight days of documents: the arrivals that the autoscaling laws are compared on.

Pages, seconds a page and times are drawn in a fixed order, so that a seed is the same trace
wherever it is drawn. A document costs half a second a chunk besides its pages.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CHUNK_PAGES: Final = 16
HOUR: Final = 3600.0
NAMES: Final = ("steady", "daily", "bursts", "bigdoc", "nights", "heavy", "backfill", "sparse")
_SEED_OFFSET: Final = 1000

Times = NDArray[np.float64]
Pages = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Document:
    """One arrival; each chunk is its pages and the seconds of one worker that it takes."""

    at: float
    pages: int
    chunks: tuple[tuple[int, float], ...]
    user: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Documents in order of arrival, and how long it goes on."""

    name: str
    documents: tuple[Document, ...]
    seconds: float


def draw(name: str, seed: int) -> Trace:
    """The trace of this name and seed."""
    rng = np.random.default_rng(_SEED_OFFSET + seed)
    times, pages, users, seconds = _ARRIVALS[name](rng)
    documents = tuple(
        _document(rng, float(at), int(count), int(user))
        for at, count, user in zip(times, pages, users, strict=True)
    )
    return Trace(name, documents, seconds)


def _document(rng: np.random.Generator, at: float, pages: int, user: int) -> Document:
    pace = float(np.clip(rng.lognormal(math.log(0.5), 0.5), 0.2, 3))
    each = np.clip(pace * rng.lognormal(0, 0.3, pages), 0.1, 6)
    chunks = tuple(
        (min(CHUNK_PAGES, pages - k), 0.5 + float(each[k : k + CHUNK_PAGES].sum()))
        for k in range(0, pages, CHUNK_PAGES)
    )
    return Document(at, pages, chunks, user)


def _typical(rng: np.random.Generator, count: int) -> Pages:
    drawn = np.clip(np.round(rng.lognormal(math.log(6), 1.2, count)), 1, 2000)
    return drawn.astype(np.int64)


def _heavy_tailed(rng: np.random.Generator, count: int) -> Pages:
    drawn = np.clip(np.floor((rng.pareto(1.1, count) + 1) * 3), 1, 2000)
    return drawn.astype(np.int64)


def _poisson(rng: np.random.Generator, rate: float, end: float) -> Times:
    return np.sort(rng.uniform(0, end, rng.poisson(rate * end)))


def _thinned(
    rng: np.random.Generator, rate: Callable[[float], float], most: float, end: float
) -> Times:
    times = _poisson(rng, most, end)
    kept = rng.uniform(0, most, len(times)) < np.array([rate(float(t)) for t in times])
    return times[kept]


_Arrivals = tuple[Times, Pages, NDArray[np.int64], float]


def _alone(times: Times) -> NDArray[np.int64]:
    """Every document is its own user's."""
    return np.arange(len(times))


def _steady(rng: np.random.Generator) -> _Arrivals:
    times = _poisson(rng, 0.53, 6 * HOUR)
    return times, _typical(rng, len(times)), _alone(times), 6 * HOUR


def _daily(rng: np.random.Generator) -> _Arrivals:
    def rate(t: float) -> float:
        hour = t / HOUR
        day = 1.05 * max(0.0, math.sin(math.pi * (hour - 6) / 14)) ** 2 if 6 < hour < 20 else 0.0
        return 0.027 + day

    times = _thinned(rng, rate, 1.1, 24 * HOUR)
    return times, _typical(rng, len(times)), _alone(times), 24 * HOUR


def _bursts(rng: np.random.Generator) -> _Arrivals:
    """Twelve times 50 to 250 documents within half a minute, over a base of 0.7 workers."""
    times = _poisson(rng, 0.09, 8 * HOUR)
    for begin in np.sort(rng.uniform(0.2 * HOUR, 7.8 * HOUR, 12)):
        burst = begin + rng.uniform(0, 30, rng.integers(50, 250))
        times = np.concatenate([times, burst])
    times.sort()
    return times, _typical(rng, len(times)), _alone(times), 8 * HOUR


def _bigdoc(rng: np.random.Generator) -> _Arrivals:
    """One document of 2,000 pages into an idle system, small ones around it."""
    times = _poisson(rng, 1 / 60, 2 * HOUR)
    pages = np.clip(_typical(rng, len(times)), 1, 30)
    times, pages = np.concatenate([times, [HOUR * 0.75]]), np.concatenate([pages, [2000]])
    order = np.argsort(times)
    return times[order], pages[order], _alone(times), 2 * HOUR


def _nights(rng: np.random.Generator) -> _Arrivals:
    times = _thinned(rng, lambda t: 0.27 if 8 < (t / HOUR) % 24 < 18 else 1 / 3600, 0.27, 24 * HOUR)
    return times, _typical(rng, len(times)), _alone(times), 24 * HOUR


def _heavy(rng: np.random.Generator) -> _Arrivals:
    times = _poisson(rng, 0.25, 8 * HOUR)
    return times, _heavy_tailed(rng, len(times)), _alone(times), 8 * HOUR


def _backfill(rng: np.random.Generator) -> _Arrivals:
    """Twice 150 documents of 100 pages dropped at once, each time by one user."""
    times = _poisson(rng, 0.2, 4 * HOUR)
    pages, users = _typical(rng, len(times)), _alone(times)
    for user, begin in enumerate((HOUR, 2.5 * HOUR)):
        times = np.concatenate([times, begin + rng.uniform(0, 20, 150)])
        pages = np.concatenate([pages, np.full(150, 100)])
        users = np.concatenate([users, np.full(150, -1 - user)])
    order = np.argsort(times)
    return times[order], pages[order], users[order], 4 * HOUR


def _sparse(rng: np.random.Generator) -> _Arrivals:
    times = _poisson(rng, 1 / 240, 24 * HOUR)
    return times, _typical(rng, len(times)), _alone(times), 24 * HOUR


_ARRIVALS: Final[dict[str, Callable[[np.random.Generator], _Arrivals]]] = {
    "steady": _steady,
    "daily": _daily,
    "bursts": _bursts,
    "bigdoc": _bigdoc,
    "nights": _nights,
    "heavy": _heavy,
    "backfill": _backfill,
    "sparse": _sparse,
}
