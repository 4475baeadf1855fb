"""All open sessions of a process: how many there may be, and how they end on shutdown."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Final

from ocrplus_contract.names import UserId
from ocrplus_gateway.cancellation import ended
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.session import (
    CLOSE_CONNECTIONS,
    CLOSE_OVERLOADED,
    CLOSE_RESTART,
    Refused,
    Session,
)

_STRANGERS: Final = 0.1  # of all sockets: those that still owe their token


class Sessions:
    """Counts them, refuses one too many, and ends them."""

    def __init__(self, metrics: GatewayMetrics, most: int, most_of_user: int) -> None:
        self._metrics = metrics
        self._most = most
        self._most_of_user = most_of_user
        self._open: set[Session] = set()
        self._by_user: dict[UserId, int] = {}
        self._strangers = 0
        self._streams: set[asyncio.Future[None]] = set()  # to end event streams by
        self.draining = False

    def refusal(self, user: UserId, *, known: bool) -> Refused | None:
        """Why one more socket of a user, or of a stranger who names him, cannot be served."""
        if self.draining:
            return Refused(CLOSE_RESTART, "shutting down")
        if len(self._open) >= self._most:
            return Refused(CLOSE_OVERLOADED, "too many connections")
        if not known:
            too_many = self._strangers >= max(1, self._most * _STRANGERS)
            return Refused(CLOSE_OVERLOADED, "too many without a token") if too_many else None
        if self._by_user.get(user, 0) >= self._most_of_user:
            return Refused(CLOSE_CONNECTIONS, "too many connections of this user")
        return None

    async def serve(self, session: Session) -> None:
        """Run a session to its end."""
        self._open.add(session)
        session.introduce = partial(self._introduce, session)
        if session.known:
            self._enter(session.user)
        else:
            self._strangers += 1
        try:
            with self._metrics.connected(session.protocol_name):
                await session.run()
        finally:
            self._open.discard(session)
            if session.known:
                self._leave(session.user)
            else:
                self._strangers -= 1

    def _introduce(self, session: Session) -> None:
        """A stranger has shown who he is: he counts for his user from now on.

        Raises:
            Refused: the user has as many connections as he may.
        """
        if session.known:
            return
        refused = self.refusal(session.user, known=True)
        if refused is not None:
            raise refused
        self._strangers -= 1
        session.known = True
        self._enter(session.user)

    async def counted(
        self, user: UserId, lines: AsyncGenerator[str, None]
    ) -> AsyncGenerator[str, None]:
        """An event stream over HTTP, counted as a connection of its user; empty for one too many:
        several may have asked at once before the first of them began."""
        if self.refusal(user, known=True) is not None:
            return
        self._enter(user)
        end = asyncio.get_running_loop().create_future()
        self._streams.add(end)
        try:
            with self._metrics.connected("sse"):
                async with aclosing(lines):
                    while (line := await _next_unless(end, lines)) is not None:
                        yield line
        finally:
            self._streams.discard(end)
            self._leave(user)

    def _enter(self, user: UserId) -> None:
        self._by_user[user] = self._by_user.get(user, 0) + 1

    def _leave(self, user: UserId) -> None:
        self._by_user[user] -= 1
        if not self._by_user[user]:
            del self._by_user[user]

    async def drain(self, seconds: float, slices: int = 10) -> None:
        """Close everything in slices, so that not all clients come back at once."""
        self.draining = True
        sessions = list(self._open)
        for session in sessions:
            session.goodbye(seconds)
        ends = [partial(session.end, CLOSE_RESTART, "restart") for session in sessions]
        ends += [partial(_end, stream) for stream in self._streams]
        for first in range(min(slices, len(ends))):
            for end in ends[first::slices]:
                end()
            await asyncio.sleep(seconds / slices)


def _end(stream: asyncio.Future[None]) -> None:
    if not stream.done():
        stream.set_result(None)


async def _next_unless(end: asyncio.Future[None], lines: AsyncGenerator[str, None]) -> str | None:
    """The next line; None where there is none, or where they are to end."""
    line = asyncio.ensure_future(anext(lines, None))
    try:
        await asyncio.wait((line, end), return_when=asyncio.FIRST_COMPLETED)
        return line.result() if line.done() else None
    finally:
        await ended(line)
