"""Who gets in: tokens, JWTs, tickets and origins on real gateways."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gateway_process
import httpx
import jwt
import pytest
import redis
import redis_server
import websockets
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from documents import text_document
from gateway_process import Gateway, play_worker

PDF = text_document(1)
SECRET = "s" * 40
KEYS = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "later": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "stranger": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def jwk(kid: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.ECAlgorithm if kid == "ec" else jwt.algorithms.RSAAlgorithm
    public = json.loads(algorithm.to_jwk(KEYS[kid].public_key()))
    return {**public, "kid": kid, "use": "sig", "alg": "ES256" if kid == "ec" else "RS256"}


class Provider:
    """An identity provider: serves its public keys, counts how often it is asked."""

    def __init__(self) -> None:
        self.keys = ["rsa", "ec"]
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = json.dumps({"keys": [jwk(kid) for kid in provider.keys]}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever)
    thread.start()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module")
def by_jwt(valkey: redis_server.Server, blobs: Path, provider: Provider) -> Iterator[Gateway]:
    with gateway_process.gateway(
        valkey.url,
        blobs,
        OCRPLUS_AUTH__MODE="jwt",
        OCRPLUS_AUTH__JWKS_URL=provider.url,
        OCRPLUS_AUTH__ISSUER="https://issuer",
        OCRPLUS_AUTH__AUDIENCE="ocrplus",
        OCRPLUS_AUTH__LEEWAY_SECONDS="5",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("auth") / "tokens"
    file.write_text("# keys\nkey-alice alice\nkey-bob bob\nkey-root *\n")
    return file


@pytest.fixture(scope="module")
def by_token(valkey: redis_server.Server, blobs: Path, tokens: Path) -> Iterator[Gateway]:
    with gateway_process.gateway(
        valkey.url,
        blobs,
        OCRPLUS_AUTH__MODE="token",
        OCRPLUS_AUTH__TOKENS_FILE=str(tokens),
        OCRPLUS_AUTH__ORIGINS="https://app.example.org",
    ) as running:
        yield running


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        yield client


def signed(kid: str | None = "rsa", key: str = "rsa", alg: str = "RS256", **changes: Any) -> str:
    claims = {
        "sub": "alice",
        "iss": "https://issuer",
        "aud": "ocrplus",
        "exp": int(time.time()) + 60,
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, KEYS[key], alg, headers={"kid": kid} if kid else None)


def unsigned(**changes: Any) -> str:
    claims = {"sub": "alice", "iss": "https://issuer", "aud": "ocrplus", "exp": time.time() + 60}
    return jwt.encode({**claims, **changes}, None, "none", headers={"kid": "rsa"})


def signed_with_the_public_key() -> str:
    """The classic confusion: the public key taken for a shared secret."""
    public = jwt.PyJWK(jwk("rsa")).key
    from cryptography.hazmat.primitives import hashes, hmac, serialization

    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _, body, _ = signed().split(".")
    header = jwt.utils.base64url_encode(
        json.dumps({"alg": "HS256", "kid": "rsa", "typ": "JWT"}).encode()
    ).decode()
    mac = hmac.HMAC(pem, hashes.SHA256())
    mac.update(f"{header}.{body}".encode())
    return f"{header}.{body}.{jwt.utils.base64url_encode(mac.finalize()).decode()}"


def headed(key: str = "rsa", **header: Any) -> str:
    """A token with a header of its own."""
    claims = {"sub": "alice", "iss": "https://issuer", "aud": "ocrplus", "exp": time.time() + 60}
    return jwt.encode(claims, KEYS[key], "RS256", headers={"kid": "rsa", **header})


def with_a_kid_that_is_none() -> str:
    head = jwt.utils.base64url_encode(b'{"alg":"RS256","kid":{"rsa":1}}').decode()
    return ".".join([head, *signed().split(".")[1:]])


def with_other_body() -> str:
    head, _, signature = signed().split(".")
    _, body, _ = signed(sub="bob").split(".")
    return f"{head}.{body}.{signature}"


BAD = {
    "a word that is none": lambda: "null",
    "no token at all": lambda: "abc",
    "three empty parts": lambda: "..",
    "expired": lambda: signed(exp=int(time.time()) - 10),
    "not yet valid": lambda: signed(nbf=int(time.time()) + 600),
    "without exp": lambda: signed(exp=None),
    "another issuer": lambda: signed(iss="https://other"),
    "without issuer": lambda: signed(iss=None),
    "another audience": lambda: signed(aud="other"),
    "without audience": lambda: signed(aud=None),
    "without subject": lambda: signed(sub=None),
    "a subject with key characters": lambda: signed(sub="alice:jobs"),
    "a subject that is every user": lambda: signed(sub="*"),
    "unsigned": unsigned,
    "a stranger's key under a known name": lambda: signed(key="stranger"),
    "an unknown key": lambda: signed(kid="stranger", key="stranger"),
    "another algorithm of the same key": lambda: signed(alg="PS256"),
    "the public key as a secret": signed_with_the_public_key,
    "another's body under a valid signature": with_other_body,
    "cut signature": lambda: signed()[:-8],
    "no name of a key, and there are two": lambda: signed(kid=None),
    "a name of a key that is no name": with_a_kid_that_is_none,
    "a key of its own in the header": lambda: headed("stranger", jwk=jwk("stranger")),
    "an address of its keys in the header": lambda: headed("stranger", jku="http://127.0.0.1:1/"),
    "a critical header that nobody knows": lambda: headed(crit=["x"], x=1),
    "issued in the future": lambda: signed(iat=int(time.time()) + 600),
    "far too long": lambda: signed() + "a" * 6000,
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_opens_nothing(by_jwt: Gateway, store: redis.Redis, kind: str) -> None:
    token = BAD[kind]()
    before = set(store.scan_iter("*alice*"))
    headers = {"Authorization": f"Bearer {token}"}

    async with httpx.AsyncClient(base_url=by_jwt.http, headers=headers) as http:
        answers = [
            await http.get("/v1/tasks"),
            await http.post("/v1/tasks", content=PDF),
            await http.post("/v1/tickets"),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert all(a.json()["error"]["code"] == "unauthorized" for a in answers)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(by_jwt.ws + "alice", additional_headers=headers)
    assert refused.value.response.status_code == 401
    async with websockets.connect(by_jwt.ws + "alice", subprotocols=["ocrplus.v2"]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "auth", "token": token[:16384]}))
        error = json.loads(await socket.recv())
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
    assert error["code"] in ("unauthorized", "bad_message")
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401
    assert set(store.scan_iter("*alice*")) == before


@pytest.mark.parametrize(("kid", "alg"), [("rsa", "RS256"), ("ec", "ES256")])
async def test_a_good_token_opens_by_every_way(by_jwt: Gateway, kid: str, alg: str) -> None:
    token = signed(kid=kid, key=kid, alg=alg)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=by_jwt.http, headers=headers) as http:
        assert (await http.get("/v1/tasks")).status_code == 200
        ticket = (await http.post("/v1/tickets")).json()["ticket"]

    async with websockets.connect(by_jwt.ws + "alice", additional_headers=headers):
        pass
    for offered in (f"bearer.{token}", f"ticket.{ticket}"):
        protocols: Any = ["ocrplus.v2", offered]
        async with websockets.connect(by_jwt.ws + "alice", subprotocols=protocols) as socket:
            assert socket.subprotocol == "ocrplus.v2"
            await socket.send('{"type": "hello"}')
            assert json.loads(await socket.recv())["type"] == "welcome"
    v2: Any = ["ocrplus.v2"]
    async with websockets.connect(by_jwt.ws + "alice", subprotocols=v2) as socket:
        await socket.send(json.dumps({"type": "auth", "token": token}))
        await socket.send('{"type": "hello"}')
        assert json.loads(await socket.recv())["type"] == "welcome"


async def test_a_ticket_lets_in_once_and_only_its_user(by_jwt: Gateway) -> None:
    headers = {"Authorization": f"Bearer {signed()}"}
    async with httpx.AsyncClient(base_url=by_jwt.http, headers=headers) as http:
        tickets = [(await http.post("/v1/tickets")).json()["ticket"] for _ in range(2)]

    async def come(user: str, ticket: str) -> int:
        protocols: Any = ["ocrplus.v2", f"ticket.{ticket}"]
        try:
            async with websockets.connect(by_jwt.ws + user, subprotocols=protocols):
                return 101
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    at_once = await asyncio.gather(*(come("alice", tickets[0]) for _ in range(5)))
    assert sorted(at_once) == [101, 401, 401, 401, 401]
    assert [await come("bob", tickets[1]), await come("alice", tickets[1])] == [403, 401]


async def test_keys_rotate_without_a_restart(by_jwt: Gateway, provider: Provider) -> None:
    asked = provider.asked
    async with httpx.AsyncClient(base_url=by_jwt.http) as http:

        async def status() -> int:
            token = signed(kid="later", key="later")
            headers = {"Authorization": f"Bearer {token}"}
            return (await http.get("/v1/tasks", headers=headers)).status_code

        assert await status() == 401
        provider.keys = ["rsa", "ec", "later"]
        deadline = time.monotonic() + 20
        while await status() != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    assert provider.asked - asked <= 3  # however often an unknown key was shown


async def test_a_shared_secret_works_too(valkey: redis_server.Server, blobs: Path) -> None:
    claims = {"sub": "alice", "iss": "i", "aud": "a", "exp": int(time.time()) + 60}
    with gateway_process.gateway(
        valkey.url,
        blobs,
        OCRPLUS_AUTH__MODE="jwt",
        OCRPLUS_AUTH__JWT_SECRET=SECRET,
        OCRPLUS_AUTH__ISSUER="i",
        OCRPLUS_AUTH__AUDIENCE="a",
    ) as running:
        async with httpx.AsyncClient(base_url=running.http) as http:
            for secret, expected in ((SECRET, 200), ("x" * 40, 401)):
                token = jwt.encode(claims, secret, "HS256")
                answer = await http.get("/v1/tasks", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == expected


async def test_a_token_is_its_users_alone(by_token: Gateway, store: redis.Redis) -> None:
    def bearer(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    async with httpx.AsyncClient(base_url=by_token.http) as http:
        made = await http.post(
            "/v1/tasks", params={"task_id": "secret"}, content=PDF, headers=bearer("key-alice")
        )
        assert made.status_code == 202
        play_worker(store)
        paths = [
            "/v1/tasks/secret",
            *(
                f"/v1/tasks/secret/{part}"
                for part in (
                    "events",
                    "result",
                    "result.md",
                    "result.zip",
                    "pages/1",
                    "figures/p1-f1.png",
                )
            ),
        ]
        for path in paths:
            assert (await http.get(path, headers=bearer("key-bob"))).status_code == 404, path
            as_alice = await http.get(path, params={"user": "alice"}, headers=bearer("key-bob"))
            assert as_alice.status_code == 403, path
            assert (await http.get(path)).status_code == 401, path
        assert (await http.get("/v1/tasks", headers=bearer("key-bob"))).json() == {"tasks": []}
        assert (await http.delete(paths[0], headers=bearer("key-bob"))).status_code == 404
        other = {"params": {"user": "alice"}, "headers": bearer("key-bob")}
        for method, path in (
            ("GET", "/v1/tasks"),
            ("DELETE", paths[0]),
            ("POST", "/v1/tickets"),
            ("POST", "/v1/tasks"),
        ):
            assert (await http.request(method, path, **other)).status_code == 403, path
            assert (await http.request(method, path)).status_code == 401, path
        form = {"user": "alice", "task_id": "x"}
        stolen = await http.post(
            "/v1/tasks", data=form, files={"file": ("a.pdf", PDF)}, headers=bearer("key-bob")
        )
        assert stolen.status_code == 403
        for key, user in (("key-alice", None), ("key-root", "alice")):
            params = {"user": user} if user else None
            found = await http.get(paths[0], params=params, headers=bearer(key))
            assert found.json()["status"] == "ok"
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(by_token.ws + "alice", additional_headers=bearer("key-bob"))
    assert refused.value.response.status_code == 403


async def test_new_tokens_count_without_a_restart(by_token: Gateway, tokens: Path) -> None:
    async with httpx.AsyncClient(base_url=by_token.http) as http:
        headers = {"Authorization": "Bearer key-carol"}
        assert (await http.get("/v1/tasks", headers=headers)).status_code == 401
        tokens.write_text(tokens.read_text() + "key-carol carol\n")
        deadline = time.monotonic() + 5
        while (await http.get("/v1/tasks", headers=headers)).status_code != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        tokens.write_text("this line has too many words\n")
        await asyncio.sleep(1.1)
        assert (await http.get("/v1/tasks", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://app.example.org", True),
        ("SAME", True),
        ("https://evil.example.org", False),
        ("null", False),
        ("https://app.example.org.evil.org", False),
    ],
)
async def test_web_pages_of_other_hosts_may_not_ask(
    by_token: Gateway, origin: str | None, allowed: bool
) -> None:
    headers = {"Authorization": "Bearer key-alice"}
    if origin is not None:
        headers["Origin"] = by_token.http if origin == "SAME" else origin
    async with httpx.AsyncClient(base_url=by_token.http, headers=headers) as http:
        assert (await http.get("/v1/tasks")).status_code == (200 if allowed else 403)
    try:
        async with websockets.connect(by_token.ws + "alice", additional_headers=headers):
            opened = True
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code == 403
        opened = False
    assert opened is allowed


INJECTIONS = [
    "a:b", "a*", "a{b}", "a b", "a\nb", "a\x00b", "..", ".a", "-a", "a/b", "%2e%2e", "é", "a" * 129,
    "jobs:alice", "*", "?", "[a-z]", "$(id)", "a;b", "a'b", 'a"b', "a\\b", "\u202ea", "ａ",
]  # fmt: skip


@pytest.mark.parametrize("bad", INJECTIONS)
async def test_no_id_reaches_a_key_unless_it_is_one(
    by_token: Gateway, store: redis.Redis, bad: str
) -> None:
    before = set(store.scan_iter("*"))
    headers = {"Authorization": "Bearer key-root"}
    v2: Any = ["ocrplus.v2"]
    async with httpx.AsyncClient(base_url=by_token.http, headers=headers) as http:
        quoted = httpx.URL("/", params={"q": bad}).query.decode().removeprefix("q=")
        answers = [
            await http.post("/v1/tasks", params={"task_id": bad}, content=PDF),
            await http.post("/v1/tasks", params={"user": bad}, content=PDF),
            await http.get("/v1/tasks", params={"user": bad}),
            await http.get(f"/v1/tasks/{quoted}"),
            await http.get(f"/v1/tasks/{quoted}/events"),
            await http.delete(f"/v1/tasks/{quoted}"),
            await http.get(f"/v1/tasks/t/figures/{quoted}"),
            await http.get(f"/v1/tasks/t/figures/{quoted}.png"),
        ]
    assert {answer.status_code for answer in answers} <= {400, 404}
    with pytest.raises((websockets.InvalidStatus, websockets.InvalidURI)):
        await websockets.connect(by_token.ws + quoted, additional_headers=headers)
    async with websockets.connect(
        by_token.ws + "fuzz", subprotocols=v2, additional_headers=headers
    ) as socket:
        await socket.send('{"type": "hello"}')
        await socket.recv()
        for message in (
            {"type": "submit", "task_id": bad, "pdf_file": "AAAA"},
            {"type": "status", "task_id": bad},
            {"type": "cancel", "task_id": bad},
        ):
            await socket.send(json.dumps(message))
            assert json.loads(await socket.recv())["code"] == "bad_message"
    after = {key for key in set(store.scan_iter("*")) - before if b"gateway:" not in key}
    assert after <= {b"events:fuzz"}


async def test_nothing_of_tokens_names_or_text_is_logged(
    valkey: redis_server.Server, blobs: Path, tmp_path: Path, store: redis.Redis
) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        gateway_process.gateway(
            valkey.url,
            blobs,
            stderr=stderr,
            OCRPLUS_AUTH__MODE="token",
            OCRPLUS_AUTH__TOKENS="canary-token canaryuser",
            OCRPLUS_LOG_LEVEL="debug",
        ) as running,
    ):
        headers = {"Authorization": "Bearer canary-token"}
        async with httpx.AsyncClient(base_url=running.http, headers=headers) as http:
            form = {"task_id": "job", "password": "canary-password", "name": "canary-name.pdf"}
            answer = await http.post("/v1/tasks", data=form, files={"file": ("x.pdf", PDF)})
            assert answer.status_code == 202
            await http.get("/v1/tasks/job", params={"user": "canary-other"})
        with pytest.raises(websockets.InvalidStatus):
            wrong = {"Authorization": "Bearer canary-wrong"}
            await websockets.connect(running.ws + "canaryuser", additional_headers=wrong)
        submit = {"task_id": "ws", "pdf_file": base64.b64encode(PDF).decode()}
        for subprotocols in (None, ["ocrplus.v2"]):
            async with websockets.connect(
                running.ws + "canaryuser?token=canary-query",
                subprotocols=subprotocols,  # type: ignore[arg-type]
                additional_headers=headers,
            ) as socket:
                options = {"options": {"password": "canary-password"}} if subprotocols else {}
                await socket.send(json.dumps({**submit, **options}))
                await socket.recv()
        play_worker(store)
    text = log.read_text()
    assert "document admitted" in text
    assert "canary" not in text
    assert '"level": "error"' not in text
    kept = b"".join(store.dump(key) or b"" for key in store.scan_iter("*canaryuser*"))
    assert b"canary-password" not in kept and b"canary-token" not in kept


async def test_strangers_who_name_a_user_take_none_of_his_connections(
    valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(
        valkey.url,
        blobs,
        OCRPLUS_AUTH__MODE="token",
        OCRPLUS_AUTH__TOKENS="key-alice alice",
        OCRPLUS_MAX_USER_CONNECTIONS="2",
        OCRPLUS_MAX_CONNECTIONS="60",
    ) as running:
        async with AsyncExitStack() as stack:

            async def connect(**more: Any) -> websockets.ClientConnection:
                socket = websockets.connect(
                    running.ws + "alice",
                    subprotocols=["ocrplus.v2"],  # type: ignore[list-item]
                    **more,
                )
                return await stack.enter_async_context(socket)

            strangers = [await connect() for _ in range(7)]
            alice = [
                await connect(additional_headers={"Authorization": "Bearer key-alice"})
                for _ in range(3)
            ]
            for socket in alice[:2]:
                await socket.send('{"type":"hello","v":2}')
            answers = [await taken_or_closed(socket) for socket in alice]
            await strangers[0].send('{"type":"auth","token":"key-alice"}')

            assert answers == ["welcome", "welcome", 4409]
            assert await taken_or_closed(strangers[6]) == 1013  # a tenth of all may be strangers
            assert await taken_or_closed(strangers[0]) == 4409


async def taken_or_closed(socket: websockets.ClientConnection) -> str | int:
    """The type of the next message, or the code of the close."""
    try:
        async with asyncio.timeout(3):
            return str(json.loads(await socket.recv())["type"])
    except websockets.ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code


@pytest.mark.parametrize("origin", ["http://[", "http://["[::-1], "//:x"])
async def test_an_origin_that_cannot_be_read_is_forbidden(by_token: Gateway, origin: str) -> None:
    headers = {"Authorization": "Bearer key-alice", "Origin": origin}
    async with httpx.AsyncClient(base_url=by_token.http, headers=headers) as http:
        answer = await http.get("/v1/tasks")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(by_token.ws + "alice", additional_headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert refused.value.response.status_code == 403
