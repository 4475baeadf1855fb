"""Who may: tokens, JWTs and one-time tickets, each bound to a user; which web pages may ask.

Nothing of a token is kept or logged but its SHA-256. A subject that is not the user is refused
before anything of that user is read.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol  # Any: JWT claims, ASGI scopes
from urllib.parse import urlsplit

import jwt
import redis.asyncio
from jwt.exceptions import PyJWTError

from ocrplus_contract.auth_settings import AuthSettings
from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import UserId, valid_id

log = logging.getLogger(__name__)

TICKET_SECONDS: Final = 30
BEARER_SUBPROTOCOL: Final = "bearer."
TICKET_SUBPROTOCOL: Final = "ticket."

_EVERY_USER: Final = "*"
_LONGEST_TOKEN: Final = 16384
_TOKENS_LOOKED_AT_SECONDS: Final = 1.0
_JWKS_FRESH_SECONDS: Final = 300.0
_JWKS_PAUSE_SECONDS: Final = 10.0  # however many unknown keys are shown
_JWKS_TIMEOUT_SECONDS: Final = 5.0
_JWKS_MOST_BYTES: Final = 1 << 20
_PUBLIC_KEY_ALGORITHMS: Final = frozenset(
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
_SECRET_ALGORITHMS: Final = ["HS256", "HS384", "HS512"]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token speaks for; `user` None: every user."""

    user: UserId | None

    def acting_as(self, user: str | None, default: str) -> UserId:
        """The user of a request that asks for `user`.

        Raises:
            JobRefused: bad_message for an id that is none, forbidden for another's.
        """
        chosen = user or self.user or default
        if not valid_id(chosen):
            raise JobRefused(ErrorCode.BAD_MESSAGE, "The user id is not valid.")
        if self.user not in (None, chosen):
            raise JobRefused(ErrorCode.FORBIDDEN)
        return UserId(chosen)


EVERYBODY: Final = Subject(None)

KEYS_UNUSABLE: Final = (OSError, ValueError, TypeError, PyJWTError)
"""What fetching an identity provider's keys may raise."""


class _Mode(Protocol):
    """One way to check a token."""

    async def subject(self, token: str) -> Subject:
        """Whom it speaks for.

        Raises:
            JobRefused: unauthorized.
        """
        ...


class _Nobody:
    """Mode none: a token is neither needed nor looked at."""

    async def subject(self, _token: str) -> Subject:
        return EVERYBODY


class _Tokens:
    """Mode token: keys from a file or a variable, by their digests."""

    def __init__(self, settings: AuthSettings) -> None:
        self._file = settings.tokens_file
        self._stamp: tuple[float, int] = (0.0, -1)
        self._looked = 0.0
        self._users = {}
        if self._file is not None:
            self._read(self._file)
        elif settings.tokens is not None:
            self._users = parse_tokens(settings.tokens.get_secret_value())

    async def subject(self, token: str) -> Subject:
        now = time.monotonic()
        if self._file is not None and now - self._looked > _TOKENS_LOOKED_AT_SECONDS:
            self._looked = now
            try:
                await asyncio.to_thread(self._read, self._file)
            except (OSError, ValueError):
                log.exception("the tokens' file cannot be read; the keys from before hold")
        user = self._users.get(_digest(token))
        if user is None:
            raise JobRefused(ErrorCode.UNAUTHORIZED)
        return Subject(None if user == _EVERY_USER else UserId(user))

    def _read(self, file: Path) -> None:
        status = file.stat()
        stamp = (status.st_mtime, status.st_size)
        if stamp != self._stamp:
            self._users = parse_tokens(file.read_text("utf-8"))
            self._stamp = stamp


def parse_tokens(text: str) -> dict[str, str]:
    """Digest of each token → its user.

    Raises:
        ValueError: a line is not `token user`; the message does not repeat it.
    """
    users = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not (words[1] == _EVERY_USER or valid_id(words[1])):
            raise ValueError(f"line {number} of the tokens is not `token user` or `token *`")
        users[_digest(words[0])] = words[1]
    return users


class _SignedTokens:
    """Mode jwt: `iss`, `aud`, `exp` and the signature count; `sub` is the user."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        secret = settings.jwt_secret
        self._secret = secret.get_secret_value() if secret is not None else None
        self._keys = _PublicKeys(settings.jwks_url) if settings.jwks_url is not None else None

    async def subject(self, token: str) -> Subject:
        try:
            claims = await self._claims(token)
        except (PyJWTError, ValueError, TypeError) as error:
            raise JobRefused(ErrorCode.UNAUTHORIZED) from error
        user = claims["sub"]
        if not isinstance(user, str) or not valid_id(user):
            raise JobRefused(ErrorCode.UNAUTHORIZED, "The token's subject is no valid user id.")
        return Subject(UserId(user))

    async def _claims(self, token: str) -> dict[str, Any]:
        if self._keys is None:
            assert self._secret is not None  # the settings demand one of the two
            return self._decoded(token, self._secret, _SECRET_ALGORITHMS)
        header = jwt.get_unverified_header(token)
        key = await self._keys.find(header.get("kid"))
        # The key says which algorithm it is for: a token does not choose.
        return self._decoded(token, key.key, [key.algorithm_name])

    def _decoded(self, token: str, key: Any, algorithms: list[str]) -> dict[str, Any]:
        settings = self._settings
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.leeway_seconds,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )


class _PublicKeys:
    """An identity provider's keys: kept, fetched again when old or when one is missing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._tried = -_JWKS_PAUSE_SECONDS
        self._fetched = -_JWKS_FRESH_SECONDS
        self._fetching = asyncio.Lock()

    async def find(self, kid: str | None) -> jwt.PyJWK:
        async with self._fetching:
            now = time.monotonic()
            stale = now - self._fetched > _JWKS_FRESH_SECONDS or kid not in self._keys
            if stale and now - self._tried > _JWKS_PAUSE_SECONDS:
                self._tried = now
                await self._fetch()
        if not self._keys:
            raise JobRefused(ErrorCode.INTERNAL, "The identity provider's keys cannot be had.")
        key = self._keys.get(kid)
        if key is None:
            raise JobRefused(ErrorCode.UNAUTHORIZED)
        return key

    async def _fetch(self) -> None:
        try:
            usable = await asyncio.to_thread(fetch_keys, self._url, _JWKS_TIMEOUT_SECONDS)
        except KEYS_UNUSABLE:
            log.exception("the identity provider's keys could not be fetched")
            return
        self._keys = {key.key_id: key for key in usable}
        if len(usable) == 1:
            self._keys[None] = usable[0]  # a provider with one key need not name it
        self._fetched = time.monotonic()


def fetch_keys(url: str, seconds: float) -> list[jwt.PyJWK]:
    """An identity provider's keys of kinds that are used here.

    Raises:
        OSError, ValueError, TypeError, PyJWTError: see KEYS_UNUSABLE.
    """
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        document = json.loads(answer.read(_JWKS_MOST_BYTES))
    if not isinstance(document, dict):
        raise ValueError("a set of keys is a JSON object")
    keys = jwt.PyJWKSet.from_dict(document).keys
    return [key for key in keys if key.algorithm_name in _PUBLIC_KEY_ALGORITHMS]


def _mode(settings: AuthSettings) -> _Mode:
    if settings.mode == "token":
        return _Tokens(settings)
    return _SignedTokens(settings) if settings.mode == "jwt" else _Nobody()


class Doorkeeper:
    """Decides on every request and socket."""

    def __init__(self, settings: AuthSettings, client: "redis.asyncio.Redis", keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.open = settings.mode == "none"
        self._mode = _mode(settings)
        self.origins = frozenset(filter(None, map(str.strip, settings.origins.split(","))))

    async def by_token(self, token: str) -> Subject:
        """Whom a token speaks for.

        Raises:
            JobRefused: unauthorized.
        """
        if len(token) > _LONGEST_TOKEN:
            raise JobRefused(ErrorCode.UNAUTHORIZED)
        return await self._mode.subject(token)

    async def by_header(self, authorization: str | None) -> Subject:
        """Whom an `Authorization` header speaks for; without one everybody, if that is allowed.

        Raises:
            JobRefused: unauthorized.
        """
        if self.open:
            return EVERYBODY
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise JobRefused(ErrorCode.UNAUTHORIZED)
        return await self.by_token(token.strip())

    async def by_handshake(
        self, headers: Mapping[str, str], subprotocols: list[str]
    ) -> Subject | None:
        """Whom a WebSocket's handshake speaks for; None where it says nothing of it.

        Raises:
            JobRefused: unauthorized.
        """
        if self.open:
            return EVERYBODY
        if "authorization" in headers:
            return await self.by_header(headers["authorization"])
        for offered in subprotocols:
            if offered.startswith(BEARER_SUBPROTOCOL):
                return await self.by_token(offered.removeprefix(BEARER_SUBPROTOCOL))
            if offered.startswith(TICKET_SUBPROTOCOL):
                return await self._by_ticket(offered.removeprefix(TICKET_SUBPROTOCOL))
        return None

    async def ticket(self, user: UserId) -> str:
        """A ticket that lets its bearer in once, as this user."""
        ticket = secrets.token_urlsafe(24)
        await self._client.set(self._keys.ticket(_digest(ticket)), user, ex=TICKET_SECONDS)
        return ticket

    async def _by_ticket(self, ticket: str) -> Subject:
        user: Any = await self._client.getdel(self._keys.ticket(_digest(ticket)))  # bytes
        if user is None:
            raise JobRefused(ErrorCode.UNAUTHORIZED, "The ticket is used up, or older than 30 s.")
        return Subject(UserId(user.decode()))

    def may_ask(self, headers: Mapping[str, str]) -> bool:
        """Whether a web page of this origin may ask; what is no browser names none."""
        origin = headers.get("origin")
        if origin is None or "*" in self.origins or origin in self.origins:
            return True
        try:
            return urlsplit(origin).netloc == headers.get("host")
        except ValueError:  # such as "http://["
            return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
