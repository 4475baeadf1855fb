"""A small client of the API server: exactly the requests that the operator makes.

kopf watches the pools; pods, Deployments and Leases need requests with preconditions and a watch
by label, for which kopf has no public client and the official one would bring 20 MB.
"""

import asyncio
import base64
import json
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import kopf

from ocrplus_operator.errors import ApiError, api_error

log = logging.getLogger(__name__)

Object = dict[str, Any]  # a Kubernetes object as JSON
FIELD_MANAGER: Final = "ocrplus-operator"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)  # a third of a Lease: see leader.py
_TOKEN_SECONDS: Final = 60.0  # service account tokens are rotated on disk
_WATCH_SECONDS: Final = 240


def connection() -> kopf.ConnectionInfo:
    """Where the API server is: the pod's service account, else the kubeconfig."""
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
        settings=settings
    )
    if found is None:
        raise ApiError(0, "neither a service account nor a kubeconfig was found: set KUBECONFIG")
    return found


class Kube:
    """Requests to one API server; an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._server = ""
        self._headers: dict[str, str] = {}
        self._token_read = 0.0

    async def __aenter__(self) -> Self:
        found = connection()
        self._server = found.server.rstrip("/")
        connector = aiohttp.TCPConnector(ssl=_tls(found) if "https" in found.server else False)
        self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        self._use_token(found)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _use_token(self, found: kopf.ConnectionInfo) -> None:
        self._headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
        self._token_read = asyncio.get_running_loop().time()

    def _authorised(self, headers: dict[str, str]) -> dict[str, str]:
        if asyncio.get_running_loop().time() - self._token_read > _TOKEN_SECONDS:
            self._use_token(connection())
        return {**headers, **self._headers}

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        content: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> Object:
        """One request; what the server answered.

        Raises:
            ApiError: it refused, or there was no answer.
        """
        assert self._session is not None, "the client has not been entered"
        try:
            async with self._session.request(
                method,
                self._server + path,
                data=None if body is None else json.dumps(body),
                params=params or {},
                headers=self._authorised({"Content-Type": content, "Accept": "application/json"}),
            ) as response:
                text = await response.text()
                if response.status >= 400:
                    raise api_error(response.status, _message(text))
                answer: Object = json.loads(text)
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
            raise ApiError(0, f"{type(error).__name__}: {error}") from error

    async def get(self, path: str, **params: str) -> Object:
        """One object, or a list."""
        return await self.request("GET", path, params=params)

    async def create(self, path: str, body: Object) -> Object:
        """A new object."""
        return await self.request("POST", path, body=body)

    async def replace(self, path: str, body: Object) -> Object:
        """An object as a whole; its resourceVersion, where given, is a precondition."""
        return await self.request("PUT", path, body=body)

    async def patch(self, path: str, body: Object) -> Object:
        """Some fields (merge patch); a resourceVersion in it is a precondition."""
        return await self.request(
            "PATCH",
            path,
            body=body,
            content="application/merge-patch+json",
            params={"fieldManager": FIELD_MANAGER},
        )

    async def watch(self, path: str, version: str, **params: str) -> AsyncIterator[Object]:
        """Events after a version, until the server ends the watch.

        Raises:
            ApiError: 410 when the version is too old, as any other refusal.
        """
        assert self._session is not None, "the client has not been entered"
        query = {
            **params,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        # Bookmarks come every minute: a watch that is silent for longer is dead.
        timeout = aiohttp.ClientTimeout(total=_WATCH_SECONDS + 30, connect=5, sock_read=90)
        try:
            async with self._session.get(
                self._server + path,
                params=query,
                headers=self._authorised({"Accept": "application/json"}),
                timeout=timeout,
                read_bufsize=2**20,
            ) as response:
                if response.status >= 400:
                    raise api_error(response.status, _message(await response.text()))
                async for line in response.content:
                    event: Object = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise api_error(int(status.get("code", 0)), str(status.get("message")))
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, f"{type(error).__name__}: {error}") from error


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))[:500]
    except (ValueError, AttributeError):
        return text[:500]


def _tls(found: kopf.ConnectionInfo) -> ssl.SSLContext:
    data = found.ca_data.decode() if isinstance(found.ca_data, bytes) else found.ca_data
    context = ssl.create_default_context(
        cafile=None if found.ca_path is None else str(found.ca_path),
        cadata=_pem(data) if data else None,
    )
    if found.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if found.certificate_path and found.private_key_path:
        context.load_cert_chain(str(found.certificate_path), str(found.private_key_path))
    elif found.certificate_data and found.private_key_data:
        with tempfile.TemporaryDirectory() as folder:  # the ssl module reads files only
            certificate, key = Path(folder) / "certificate", Path(folder) / "key"
            certificate.write_text(_pem(found.certificate_data))
            key.touch(0o600)
            key.write_text(_pem(found.private_key_data))
            context.load_cert_chain(certificate, key)
    return context


def _pem(data: str | bytes) -> str:
    text = data.decode() if isinstance(data, bytes) else data
    if text.lstrip().startswith("-----"):
        return text
    return base64.b64decode(text).decode()
