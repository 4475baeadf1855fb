"""`python -m ocrplus_gateway.doctor`: what a gateway depends on, and what to do where it fails."""

import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ocrplus_contract.doctor import Check, Finding, run, shared_checks
from ocrplus_contract.doctor.findings import fail, ok, warn
from ocrplus_contract.doctor.machine import Machine
from ocrplus_contract.settings import GatewaySettings
from ocrplus_gateway.auth import KEYS_UNUSABLE, fetch_keys, parse_tokens

_JWKS_SECONDS: Final = 2.0
_TOKEN_CHARACTERS: Final = 20
_FORMAT: Final = "write `token user`, or `token *` for every user, one a line"


def checks(settings: GatewaySettings) -> list[Check]:
    """Everything that this image can look at."""
    machine = Machine(files=settings.max_connections, scratch_bytes=2 * settings.max_pdf_bytes)
    shared = shared_checks(settings, lease_seconds=settings.lease_seconds, machine=machine)
    return [*shared, Check("auth", Auth(settings).look)]


@dataclass(frozen=True, slots=True)
class Auth:
    """Who is let in."""

    settings: GatewaySettings

    def look(self) -> Iterator[Finding]:
        """By the mode."""
        match self.settings.auth.mode:
            case "token":
                yield self._tokens()
            case "jwt":
                yield self._signed()
            case _:
                yield self._open()

    def _open(self) -> Finding:
        if self.settings.host in ("127.0.0.1", "localhost", "::1"):
            return ok("auth", "mode none: nobody has to authenticate, and only this host can come")
        return warn(
            "auth",
            "mode none: whoever reaches the port may read and send as any user",
            "set OCRPLUS_AUTH__MODE to token or jwt, unless something before it authenticates",
        )

    def _tokens(self) -> Finding:
        auth = self.settings.auth
        file = auth.tokens_file
        try:
            text = auth.tokens.get_secret_value() if auth.tokens and not file else _text_of(file)
            users = parse_tokens(text)
        except OSError as error:
            reason = f"mode token: {file} cannot be read ({error.strerror})"
            return fail("auth", reason, "mount the Secret with the tokens there, readable for us")
        except UnicodeDecodeError:
            return fail("auth", f"mode token: {file} is no text", _FORMAT)
        except ValueError as wrong:
            return fail("auth", f"mode token: {wrong}", _FORMAT)
        if not users:
            return fail("auth", "mode token: there is no token, so nobody is let in", _FORMAT)
        told = f"mode token: {len(users)} tokens"
        if file is not None and file.stat().st_mode & stat.S_IROTH:
            reason = f"{told}, and everybody on this host may read {file}"
            return warn("auth", reason, "take that right away: defaultMode 0440, chmod o-r")
        if _shortest(text) < _TOKEN_CHARACTERS:
            reason = f"{told}, one of fewer than {_TOKEN_CHARACTERS} characters"
            return warn("auth", reason, "make tokens with `openssl rand -base64 32`")
        return ok("auth", told)

    def _signed(self) -> Finding:
        auth = self.settings.auth
        if auth.jwks_url is None:
            return ok("auth", "mode jwt: a shared secret of at least 32 bytes")
        try:
            keys = fetch_keys(auth.jwks_url, _JWKS_SECONDS)
        except KEYS_UNUSABLE as error:
            return fail(
                "auth",
                f"mode jwt: the identity provider's keys cannot be had ({type(error).__name__})",
                "correct OCRPLUS_AUTH__JWKS_URL, or let the gateway's NetworkPolicy reach it",
            )
        if not keys:
            reason = "mode jwt: the identity provider has no key of a kind that is used here"
            return fail("auth", reason, "it must sign by RS, PS, ES or EdDSA")
        return ok("auth", f"mode jwt: {len(keys)} keys of the identity provider")


def _text_of(file: Path | None) -> str:
    return "" if file is None else file.read_text("utf-8")


def _shortest(text: str) -> int:
    words = [line.split() for line in text.splitlines()]
    return min(len(line[0]) for line in words if line and not line[0].startswith("#"))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 all is well, 1 warnings, 2 something failed."""
    return run("gateway", GatewaySettings, checks, arguments)


if __name__ == "__main__":
    sys.exit(main())
