"""The Lua scripts, put together from their files.

A script names its includes in a header line `-- include: keys events`; they are written before it
in the order of `_INCLUDE_ORDER`, since Lua sees only what stands above.
"""

import hashlib
from functools import cache
from importlib import resources
from typing import Final

_INCLUDE_ORDER: Final = (
    "keys",
    "events",
    "permits",
    "waiting",
    "jobs",
    "described",
    "captions",
    "leases",
    "positions",
)
SCRIPT_NAMES: Final = (
    "admit",
    "take",
    "renew",
    "commit_page",
    "finish",
    "release",
    "cancel",
    "resync",
    "join",
    "confirm",
    "leave",
    "locate",
    "reuse",
    "forget",
    "commit_caption",
    "settle",
    "caption_slot",
    "caption_answer",
    "spend",
    "turn",
    "remember",
)


@cache
def source(name: str) -> str:
    """Return the whole Lua text of a script, includes and all."""
    folder = resources.files("ocrplus_contract") / "scripts"
    body = (folder / f"{name}.lua").read_text("utf-8")
    included = _included_by(body)
    parts = [
        (folder / "include" / f"{include}.lua").read_text("utf-8")
        for include in _INCLUDE_ORDER
        if include in included
    ]
    return "\n".join([*parts, body])


@cache
def digest(name: str) -> str:
    """The name under which a server knows a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def _included_by(body: str) -> frozenset[str]:
    for line in body.splitlines():
        if line.startswith("-- include:"):
            return frozenset(line.removeprefix("-- include:").split())
    return frozenset()
