"""Orders of taking: first come first served, and the one that the service ships.

The shipped one is `take.lua`'s: the least served user who waits, of his chunks first the heads of
documents, a tail letting the heads of at most 32 later documents pass. Pages served count whole.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from autoscaling_traces import Document


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of work: document's number, its pages, seconds of one worker."""

    document: int
    pages: int
    seconds: float


class Queue(Protocol):
    """What waits."""

    pages: int

    def __len__(self) -> int: ...
    def admit(self, document: Document, chunks: Iterable[Chunk]) -> None:
        """Add a new document."""

    def back(self, chunk: Chunk) -> None:
        """Put a chunk that was lost in front."""

    def take(self) -> Chunk:
        """The next one."""


class Fifo:
    """As a Celery queue of chunks."""

    def __init__(self) -> None:
        self.pages = 0
        self._waiting: deque[Chunk] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def admit(self, document: Document, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self._waiting.append(chunk)
            self.pages += chunk.pages

    def back(self, chunk: Chunk) -> None:
        self._waiting.appendleft(chunk)
        self.pages += chunk.pages

    def take(self) -> Chunk:
        chunk = self._waiting.popleft()
        self.pages -= chunk.pages
        return chunk


@dataclass(slots=True)
class _User:
    served: float
    waiting: list[tuple[float, int, Chunk]] = field(default_factory=list)


class Fair:
    """Fair between users, heads before tails."""

    def __init__(self) -> None:
        self.pages = 0
        self._count = self._turn = self._entry = 0
        self._users: dict[int, _User] = {}
        self._left: dict[int, float] = {}

    def __len__(self) -> int:
        return self._count

    def admit(self, document: Document, chunks: Iterable[Chunk]) -> None:
        self._turn += 1
        for i, chunk in enumerate(chunks, 1):
            score = self._turn if i == 1 else self._turn + 32 + i / 1e4
            self._put(document.user, score, chunk)

    def back(self, chunk: Chunk) -> None:
        raise NotImplementedError("nothing is lost under this order")

    def _put(self, name: int, score: float, chunk: Chunk) -> None:
        self._entry += 1
        user = self._users.get(name)
        if user is None:
            least = min((u.served for u in self._users.values()), default=0.0)
            user = _User(max(float(int(least)), self._left.get(name, 0.0)))
            self._users[name] = user
        heapq.heappush(user.waiting, (score, self._entry, chunk))
        self._count += 1
        self.pages += chunk.pages

    def take(self) -> Chunk:
        name, user = min(self._users.items(), key=lambda item: (item[1].served, item[0]))
        chunk = heapq.heappop(user.waiting)[2]
        user.served = int(user.served) + chunk.pages + 0.5
        self._count -= 1
        self.pages -= chunk.pages
        if not user.waiting:
            del self._users[name]
            self._left[name] = user.served
            if not self._users:
                self._left.clear()
        return chunk
