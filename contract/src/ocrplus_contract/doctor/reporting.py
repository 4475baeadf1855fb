"""How a doctor speaks: a line a finding for people, one JSON object for programs, an exit code."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final, TypeVar

from pydantic import ValidationError

from ocrplus_contract.doctor.findings import Check, Finding, Status, examine, fail
from ocrplus_contract.settings import CommonSettings

EXIT_CODES: Final = {Status.OK: 0, Status.WARN: 1, Status.FAIL: 2}
_SETTINGS: Final = "settings"
_LABELS: Final = {Status.OK: "ok", Status.WARN: "WARN", Status.FAIL: "FAIL"}

SettingsType = TypeVar("SettingsType", bound=CommonSettings)


def run(
    component: str,
    settings: type[SettingsType],
    checks: Callable[[SettingsType], Sequence[Check]],
    arguments: Sequence[str] | None = None,
) -> int:
    """The command of one image; 0 all is well, 1 warnings, 2 something failed."""
    parser = argparse.ArgumentParser(
        prog=f"python -m ocrplus_{component}.doctor",
        description="Checks what this process depends on, with the settings of its environment.",
        epilog="exit codes: 0 all is well · 1 warnings · 2 something failed",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    as_json = parser.parse_args(arguments).json
    read = settings_or_findings(settings)
    found = read if isinstance(read, list) else examine(checks(read))
    return tell(found, as_json=as_json)


def settings_or_findings(settings: type[SettingsType]) -> SettingsType | list[Finding]:
    """The settings of this environment, or why they are none; values are not repeated."""
    try:
        return settings()
    except ValidationError as error:
        return [
            fail(
                _SETTINGS,
                f"{'.'.join(map(str, one['loc'])) or 'the environment'}: {one['msg']}",
                "correct the variable; docs/configuration.md lists them all",
            )
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    except OSError as error:
        reason = f"{error.filename} cannot be read: {error.strerror}"
        return [fail(_SETTINGS, reason, "mount the file that the …_FILE variable names")]
    except UnicodeDecodeError:
        reason = "a file that a …_FILE variable names is no text"
        return [fail(_SETTINGS, reason, "put the value itself into it, as UTF-8")]


def tell(found: Sequence[Finding], *, as_json: bool) -> int:
    """Write the findings to stdout; the exit code. Returns though a thread may still hang."""
    text = _json(found) if as_json else "\n".join(_lines(found))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return EXIT_CODES[worst(found)]


def worst(found: Sequence[Finding]) -> Status:
    """The worst status of all."""
    return max((finding.status for finding in found), key=list(Status).index, default=Status.OK)


def _json(found: Sequence[Finding]) -> str:
    return json.dumps(
        {"status": worst(found), "checks": [asdict(finding) for finding in found]},
        ensure_ascii=False,
    )


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    width = max((len(finding.name) for finding in found), default=0)
    for finding in found:
        yield f"{_LABELS[finding.status]:4}  {finding.name:{width}}  {finding.reason}"
        if finding.do:
            yield f"{'':4}  {'':{width}}  do: {finding.do}"
    counts = Counter(finding.status for finding in found)
    yield ", ".join(f"{counts[status]} {status}" for status in reversed(Status))
