"""Original-protocol clients that take n of 300 messages and go; the next one takes the rest."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ledger_steps
import original_client
import redis
from delivery_setup import page_text, play

_SCRIPT: Final = Path(original_client.__file__)
_STALLED_SECONDS: Final = 3.0
_JOBS: Final = 150
_PAGE_BYTES: Final = 3900

ENDINGS: Final = ("close", "kill", "stall")
COUNTS: Final = (0, 1, 50, 299)
MOST_DOUBLES: Final = 20  # a pong is asked for that often


@dataclass(frozen=True)
class Handover:
    """What two clients of a user took, one after the other, of everything there was."""

    everything: list[str]
    first: list[str]
    second: list[str]

    @property
    def doubles(self) -> int:
        """Messages that both took."""
        return len(self.first) + len(self.second) - len(self.everything)

    @property
    def missing(self) -> set[str]:
        """Messages that neither took."""
        return set(self.everything) - set(self.first) - set(self.second)

    def faults(self, count: int) -> list[str]:
        """What is wrong: the second must take a whole tail that begins where the first ended."""
        faults = []
        if self.first != self.everything[:count]:
            faults.append(f"the first took {len(self.first)} messages, wanted the first {count}")
        if self.missing:
            faults.append(f"{len(self.missing)} missing, such as {min(self.missing)}")
        tail = self.everything[-len(self.second) :] if self.second else []
        if self.second != tail:
            faults.append("the second's messages are not a tail of all of them, in order")
        if self.doubles > MOST_DOUBLES:
            faults.append(f"{self.doubles} messages came twice: the position does not follow")
        if self.doubles < 0:
            faults.append(f"{-self.doubles} messages taken by nobody")
        return faults


def make_messages(client: redis.Redis, user: str, jobs: int = _JOBS) -> list[str]:
    """Jobs of one page each, done; their messages as lines, in order."""
    for number in range(jobs):
        play(client, user, f"{user}-{number:03}", 1, _PAGE_BYTES)
    return [_line(event) for event in ledger_steps.milestones(client, user) if _is_message(event)]


def _is_message(event: dict[str, Any]) -> bool:
    return event["type"] in ("submitted", "result")


def _line(event: dict[str, Any]) -> str:
    task = event["task_id"]
    if event["type"] == "submitted":
        return original_client.line({"task_id": task, "status": "submitted"})
    pages = [{"page": 1, "markdown": page_text(task, 1, _PAGE_BYTES)}]
    return original_client.line({"task_id": task, "result": {"markdown": pages}})


def hand_over(urls: tuple[str, str], everything: list[str], count: int, ending: str) -> Handover:
    """Have one client take `count` messages and go, and the next one take all it gets."""
    first = _leave(urls[0], count, ending)
    last = everything[-1].split()[0]
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), urls[1], last, "all"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return Handover(everything, first, done.stdout.splitlines())


def _leave(url: str, count: int, ending: str) -> list[str]:
    command = [sys.executable, str(_SCRIPT), url, str(count), ending]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        try:
            for text in child.stdout:
                if text == "stalled\n":
                    time.sleep(_STALLED_SECONDS)
                    child.kill()
                    break
                lines.append(text.rstrip("\n"))
        finally:
            child.kill() if ending == "stall" else child.wait(60)
    return lines


def measure(client: redis.Redis, ways: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Every ending after every count, over each way of (first, second) addresses."""
    doubles: dict[str, Any] = {}
    faults: list[str] = []
    lost = 0
    for way, (first, second) in ways.items():
        for ending in ENDINGS:
            for count in COUNTS:
                user = f"{way}-{ending}-{count}"
                everything = make_messages(client, user)
                outcome = hand_over((first + user, second + user), everything, count, ending)
                wrong = outcome.faults(count)
                lost += len(outcome.missing)
                doubles[user.replace("-", " ")] = outcome.doubles
                faults += [f"original {user}: {fault}" for fault in wrong]
                print(f"original {user}: {outcome.doubles} doubles {wrong or ''}", flush=True)
    return {
        "messages": 2 * _JOBS,
        "lost": lost,
        "handovers": len(doubles),
        "doubles": doubles,
        "faults": faults,
    }
