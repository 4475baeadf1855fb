"""v2 clients that are cut and whose gateways die, under load; and what must hold afterwards."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ledger_steps
import redis
import websockets
from delivery_oracle import Journal, Taken, Verdict, judge
from delivery_setup import GATEWAY_HEADER, Gateways, play

from ocrplus_contract.names import UserId

_BACKOFF_SECONDS: Final = (0.02, 0.2)
_CONNECT_SECONDS: Final = 5.0
_CATCH_UP_SECONDS: Final = 20.0
_SAVE_EVERY: Final = (1, 8)
_MOST_PAGES: Final = 4


class Outages:
    """When gateways were killed, so that a client knows since when it has been without one."""

    def __init__(self) -> None:
        self._kills: list[tuple[int, float]] = []

    def add(self, port: int) -> None:
        """Note a kill that comes now."""
        self._kills.append((port, time.monotonic()))

    def since(self, port: int, began: float) -> float | None:
        """The first kill of a gateway after a connection to it began."""
        return next((at for one, at in self._kills if one == port and at >= began), None)


class Client:
    """One user's client: it resumes from the position it saved, which lags a little, as in life."""

    def __init__(
        self, journal: Journal, urls: Sequence[str], rng: random.Random, outages: Outages
    ) -> None:
        self.journal = journal
        self.seq = 0
        self._urls = urls
        self._rng = rng
        self._outages = outages
        self._socket: websockets.ClientConnection | None = None
        self._connection = 0
        self._began = 0.0
        self._port = 0
        self._cut_at: float | None = None
        self._lost_at: float | None = None
        self._saved: dict[str, Any] = {"seq": 0}

    def cut(self) -> bool:
        """Abort the TCP connection; False where there is none."""
        if self._socket is None or self._cut_at is not None:
            return False
        self._cut_at = time.monotonic()
        self._socket.transport.abort()
        return True

    async def run(self) -> None:
        """Be connected until cancelled."""
        while True:
            try:
                await self._connected()
            except websockets.ConnectionClosed as closed:
                self.journal.closes[str(closed.rcvd.code if closed.rcvd else 1006)] += 1
            except (OSError, TimeoutError, EOFError, websockets.InvalidHandshake) as refused:
                self.journal.closes[type(refused).__name__] += 1
            self._note_loss()
            await asyncio.sleep(self._rng.uniform(*_BACKOFF_SECONDS))

    def _note_loss(self) -> None:
        """Count from the cut, or from the kill, not from when it was noticed."""
        self._socket = None
        if self._lost_at is None:
            now = time.monotonic()
            kill = self._outages.since(self._port, self._began)
            self._lost_at = min(at for at in (self._cut_at, kill, now) if at is not None)
            self.journal.unexplained += self._cut_at is None and kill is None
        self._cut_at = None

    async def _connected(self) -> None:
        url = self._rng.choice(self._urls) + self.journal.user
        self._began = time.monotonic()
        socket = await websockets.connect(
            url,
            subprotocols=["ocrplus.v2"],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            max_size=None,
            open_timeout=_CONNECT_SECONDS,
            proxy=None,
        )
        self._socket = socket
        self._port = _gateway_port(socket)
        self._connection += 1
        try:
            hello = {"type": "hello", "v": 2, "resume": self._saved}
            await socket.send(json.dumps(hello))
            async with asyncio.timeout(_CONNECT_SECONDS):
                welcome = json.loads(await socket.recv())
            self._welcomed(welcome)
            async for text in socket:
                self._take(str(text))
            raise websockets.ConnectionClosedOK(None, None)
        finally:
            socket.transport.abort()

    def _welcomed(self, welcome: dict[str, Any]) -> None:
        if welcome["type"] != "welcome":
            self.journal.other[f"a first frame {welcome['type']}"] += 1
        if self._lost_at is not None:
            self.journal.resumes.append(time.monotonic() - self._lost_at)
            self._lost_at = None

    def _take(self, text: str) -> None:
        event = json.loads(text)
        if "seq" not in event or event["type"] == "history_lost":
            self.journal.other[event["type"]] += 1
            return
        seq = int(event["seq"])
        self.journal.taken.append(Taken(self._connection, seq, event["task_id"], text))
        self.seq = max(self.seq, seq)
        if seq - self._saved["seq"] >= self._rng.randint(*_SAVE_EVERY):
            self._saved = {"epoch": event["epoch"], "seq": seq}


def _gateway_port(socket: websockets.ClientConnection) -> int:
    """The port of the gateway behind nginx, or of the peer itself."""
    answer = socket.response
    named = answer.headers.get(GATEWAY_HEADER) if answer is not None else None
    return int(named.rpartition(":")[2]) if named else int(socket.remote_address[1])


class Producer(threading.Thread):
    """Plays jobs of random users at so many events a second until it is told to stop."""

    def __init__(
        self, client: redis.Redis, users: Sequence[str], rate: float, rng: random.Random
    ) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._users = users
        self._rate = rate
        self._rng = rng
        self._ending = threading.Event()
        self.error: BaseException | None = None
        self.seconds = 0.0

    def run(self) -> None:
        """Play job after job, each somewhat later than the load asks at most."""
        began = time.monotonic()
        number = 0
        try:
            while not self._ending.is_set():
                user = self._rng.choice(self._users)
                number += 1
                play(self._client, user, f"{user}-{number}", self._rng.randint(1, _MOST_PAGES))
                ahead = self.made() / self._rate - (time.monotonic() - began)
                self._ending.wait(max(0.0, ahead))
        except (redis.RedisError, AssertionError) as error:
            self.error = error
        self.seconds = time.monotonic() - began

    def made(self) -> int:
        """Events of all users so far."""
        return sum(tops(self._client, self._users).values())

    def stop(self) -> None:
        """End after the job at hand."""
        self._ending.set()
        self.join(30)


def tops(client: redis.Redis, users: Sequence[str]) -> dict[str, int]:
    """Each user's newest seq."""
    pipeline = client.pipeline(transaction=False)
    for user in users:
        pipeline.hget(ledger_steps.KEYS.events(UserId(user)), "seq")
    return {user: int(seq or 0) for user, seq in zip(users, pipeline.execute(), strict=True)}


@dataclass(frozen=True)
class Plan:
    """How much of what happens; one gateway is down at a time, so that the other can serve."""

    users: int
    cuts: int
    kills: int
    events_per_second: float
    seconds: float
    """How long the cuts and kills are spread over, restarts not counted."""
    victims: tuple[int, ...] = (0, 1)


@dataclass
class Outcome:
    """What a run came to."""

    journals: list[Journal]
    verdicts: list[Verdict]
    faults: list[str]
    events_per_second: float
    restart_seconds: list[float]

    @property
    def resumes(self) -> list[float]:
        """Seconds from each loss to the next welcome, sorted."""
        return sorted(seconds for journal in self.journals for seconds in journal.resumes)


async def under_cuts(
    store: redis.Redis, urls: Sequence[str], gateways: Gateways, plan: Plan, seed: int
) -> Outcome:
    """Cut and kill under load, then let everyone catch up, and judge."""
    users = [f"user{number}" for number in range(plan.users)]
    outages = Outages()
    journals = [Journal(user) for user in users]
    clients = [Client(j, urls, random.Random(f"{seed} {j.user}"), outages) for j in journals]
    running = [asyncio.create_task(client.run()) for client in clients]
    producer = Producer(store, users, plan.events_per_second, random.Random(f"{seed} jobs"))
    producer.start()
    try:
        _, restarts = await asyncio.gather(
            _cut(clients, plan, random.Random(f"{seed} cuts")),
            _kill(gateways, outages, plan, random.Random(f"{seed} kills")),
        )
        await asyncio.to_thread(producer.stop)
        faults = await _caught_up(clients, tops(store, users))
    finally:
        producer.stop()
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
    faults += [
        f"a client failed: {e!r}" for e in ended if not isinstance(e, asyncio.CancelledError)
    ]
    if producer.error is not None:
        faults.append(f"the producer failed: {producer.error!r}")
    verdicts = [judge(store, journal) for journal in journals]
    faults += [fault for verdict in verdicts for fault in verdict.faults]
    pace = producer.made() / producer.seconds
    return Outcome(journals, verdicts, faults, pace, restarts)


async def _cut(clients: Sequence[Client], plan: Plan, rng: random.Random) -> None:
    for _ in range(plan.cuts):
        await asyncio.sleep(rng.uniform(0, 2 * plan.seconds / plan.cuts))
        while not rng.choice(clients).cut():
            await asyncio.sleep(rng.uniform(0, 0.01))


async def _kill(
    gateways: Gateways, outages: Outages, plan: Plan, rng: random.Random
) -> list[float]:
    restarts = []
    for _ in range(plan.kills):
        await asyncio.sleep(rng.uniform(0, 2 * plan.seconds / plan.kills))
        victim = rng.choice(plan.victims)
        at = time.monotonic()
        outages.add(gateways.ports[victim])
        await asyncio.to_thread(gateways.kill, victim)
        await asyncio.to_thread(gateways.start, victim)
        restarts.append(time.monotonic() - at)
    return restarts


async def _caught_up(clients: Sequence[Client], top: dict[str, int]) -> list[str]:
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while any(client.seq < top[client.journal.user] for client in clients):
        if time.monotonic() > deadline:
            return [f"not everybody had caught up after {_CATCH_UP_SECONDS:.0f} s"]
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # what came in excess would be seen
    return []
