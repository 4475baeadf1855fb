"""The first command of each alert's runbook, and how it is run where there is no cluster.

A first command is of one of a few forms, so that the same words work for an SRE with kubectl and
for `make monitoring-faults`: what stands behind `--` runs here as it would in the pod, a query goes
to the Prometheus at hand.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNBOOKS: Final = Path(__file__).parents[1] / "docs" / "runbooks"
SECONDS: Final = 60
_BLOCK: Final = re.compile(r"```sh\n(.+?)\n```", re.DOTALL)
_IN_POD: Final = re.compile(r"kubectl -n NAMESPACE exec (deploy/[a-z-]+) -- (python -m [a-z_.]+)")
_QUERY: Final = re.compile(
    r"curl -s http://PROMETHEUS/api/v1/query --data-urlencode 'query=([^']+)'"
)
_POOLS: Final = re.compile(r"kubectl -n NAMESPACE get workerpools -o jsonpath='[^']+'")


class NoSuchForm(ValueError):
    """A first command is of none of the allowed forms."""


@dataclass(frozen=True, slots=True)
class FirstCommand:
    """`target` and `module` of what runs in a pod, or `query` of Prometheus; else only a cluster
    can tell."""

    text: str
    target: str = ""
    module: str = ""
    query: str = ""

    @property
    def local(self) -> bool:
        """Whether it can be run without a cluster."""
        return bool(self.module or self.query)


def first_command(alert: str) -> FirstCommand:
    """Read a runbook.

    Raises:
        NoSuchForm: it has no command, or one of another form.
    """
    check = (RUNBOOKS / f"{alert}.md").read_text().partition("## Check")[2].partition("## Fix")[0]
    found = _BLOCK.search(check)
    text = found[1] if found else ""
    if matched := _IN_POD.fullmatch(text):
        return FirstCommand(text, matched[1], matched[2].removeprefix("python -m "))
    if matched := _QUERY.fullmatch(text):
        return FirstCommand(text, query=matched[1])
    if _POOLS.fullmatch(text):
        return FirstCommand(text)
    raise NoSuchForm(f"{alert}: {text!r}")


def run(command: FirstCommand, env: Mapping[str, str], prometheus: str) -> str:
    """What it says here: in the environment of the process whose pod it would run in."""
    if command.module:
        argv = [sys.executable, "-m", command.module]
    else:
        argv = shlex.split(command.text.replace("http://PROMETHEUS", prometheus))
    ended = subprocess.run(
        argv,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.stdout + ended.stderr
