"""The AsyncAPI 3.0 document of the WebSocket, from the catalogue of messages."""

from collections.abc import Sequence
from typing import Any, Final  # Any: JSON

import catalogue
from catalogue import CLIENT, SERVER, Message
from pydantic import BaseModel

from ocrplus_contract.names import ID_PATTERN
from ocrplus_contract.schemas import definitions
from ocrplus_contract.wire import SUBPROTOCOL
from ocrplus_gateway import barrier, original, session
from ocrplus_gateway.auth import BEARER_SUBPROTOCOL, TICKET_SECONDS, TICKET_SUBPROTOCOL

_SCHEMAS: Final = "#/components/schemas/"
_MESSAGES: Final = "#/components/messages/"

CLOSE_CODES: Final = {
    1000: "you closed, or all was said",
    original.CLOSE_TOO_BIG: "a frame is too large: submit by HTTP (final)",
    1011: "something went wrong in the service: reconnect",
    session.CLOSE_RESTART: "the gateway restarts: reconnect, to any gateway",
    session.CLOSE_OVERLOADED: "the gateway has too many connections: reconnect later",
    session.CLOSE_PROTOCOL: "nothing was said within 5 s (final: say `hello`)",
    session.CLOSE_SLOW: "you read too slowly: reconnect and resume",
    session.CLOSE_GAP: "this gateway does not hear your events: reconnect and resume, at another",
    barrier.CLOSE_NO_PONG: "no pong came from you: reconnect and resume",
    session.CLOSE_UNAUTHORIZED: "the token is missing or not valid (final)",
    session.CLOSE_FORBIDDEN: "the token is another user's (final)",
    session.CLOSE_CONNECTIONS: "this user has too many connections: reconnect later",
    session.CLOSE_RATE: "too many messages, or too many wrong ones: reconnect later",
}

_DESCRIPTION: Final = """\
PDF to Markdown over the WebSocket `/ws/{user_id}`; docs/websocket.md says how to speak it.

A client that offers no subprotocol speaks the original protocol: it submits, and receives
`submitted`, then the result or `failed`. A client that offers `%s` speaks version 2: pages as they
are read, with positions that the client keeps.

A refused handshake is answered by HTTP: 400 (id), 401 (token), 403 (another user's token or a
foreign origin), 404 (path). Close codes: %s.
"""

_TITLES: Final = {"original": "The original protocol", "v2": SUBPROTOCOL}
_SUBPROTOCOL_HEADER: Final = {
    "type": "httpApiKey",
    "in": "header",
    "name": "Sec-WebSocket-Protocol",
}
_SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key or a JWT in the handshake's `Authorization` header.",
    },
    "bearerSubprotocol": {
        **_SUBPROTOCOL_HEADER,
        "description": f"`{SUBPROTOCOL}, {BEARER_SUBPROTOCOL}<token>`, for clients that cannot "
        "send headers.",
    },
    "ticket": {
        **_SUBPROTOCOL_HEADER,
        "description": f"`{SUBPROTOCOL}, {TICKET_SUBPROTOCOL}<ticket>`: a ticket of `POST "
        f"/v1/tickets`, good once, for {TICKET_SECONDS} s. For browsers.",
    },
}


def rendered() -> str:
    """docs/asyncapi.json."""
    everything = (*catalogue.ORIGINAL, *catalogue.V2)
    codes = "; ".join(f"{code} {meaning}" for code, meaning in sorted(CLOSE_CODES.items()))
    return catalogue.as_text(
        {
            "asyncapi": "3.0.0",
            "info": {
                "title": "OcrPlus",
                "version": "2",
                "description": _DESCRIPTION % (SUBPROTOCOL, codes),
                "license": {"name": "Apache-2.0"},
            },
            "defaultContentType": "application/json",
            "servers": {
                "gateway": {
                    "host": "127.0.0.1:8080",
                    "protocol": "ws",
                    "description": "`make serve`. Elsewhere: your host, `wss` behind TLS. With "
                    "`auth.mode` none no token is needed; a version 2 client may also send it in "
                    "its first frame (`Auth`).",
                    "security": [
                        {"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY
                    ],
                }
            },
            "channels": {name: _channel(name, of) for name, of in catalogue.PROTOCOLS.items()},
            "operations": {
                name: operation
                for protocol, messages in catalogue.PROTOCOLS.items()
                for name, operation in _operations(protocol, messages).items()
            },
            "components": {
                "messages": {message.name: _message(message) for message in everything},
                "schemas": _draft7(definitions(catalogue.models(*everything), _SCHEMAS)),
                "securitySchemes": _SECURITY,
            },
        }
    )


def _channel(protocol: str, messages: Sequence[Message]) -> dict[str, Any]:
    ways: dict[str, Any] = {"method": "GET", "bindingVersion": "0.1.0"}
    if protocol == "v2":
        offer = {"type": "string", "pattern": rf"(^|[, ]){SUBPROTOCOL.replace('.', '[.]')}($|[, ])"}
        ways["headers"] = {
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": offer},
            "required": ["Sec-WebSocket-Protocol"],
        }
    return {
        "address": "/ws/{user_id}",
        "title": _TITLES[protocol],
        "servers": [{"$ref": "#/servers/gateway"}],
        "parameters": {
            "user_id": {
                "description": f"Whose documents; `{ID_PATTERN}`. A token's subject must equal it.",
                "examples": ["alice"],
            }
        },
        "messages": {message.name: {"$ref": _MESSAGES + message.name} for message in messages},
        "bindings": {"ws": ways},
    }


def _operations(protocol: str, messages: Sequence[Message]) -> dict[str, Any]:
    """What the gateway receives, each with its answers, and what it sends."""
    said = {
        f"{protocol}.{message.name}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{protocol}"},
            "summary": message.description.split("\n")[0],
            "messages": _listed(protocol, [message.model]),
            **(
                {
                    "reply": {
                        "channel": {"$ref": f"#/channels/{protocol}"},
                        "messages": _listed(protocol, message.replies),
                    }
                }
                if message.replies
                else {}
            ),
        }
        for message in messages
        if message.side == CLIENT
    }
    sent = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{protocol}"},
        "summary": "What the gateway sends.",
        "messages": _listed(protocol, [m.model for m in messages if m.side == SERVER]),
    }
    return {**said, f"{protocol}.send": sent}


def _listed(protocol: str, models: Sequence[type[BaseModel]]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{protocol}/messages/{model.__name__}"} for model in models]


def _message(message: Message) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.name,
        "summary": message.description,
        "payload": {"$ref": _SCHEMAS + message.name},
        "examples": [{"payload": message.example}],
    }


def _draft7(node: Any) -> Any:
    """AsyncAPI's schemas are of draft 7: a tuple's parts stand in `items` there."""
    if isinstance(node, dict):
        if "prefixItems" in node:
            node = {**node, "items": node["prefixItems"]}
            del node["prefixItems"]
        return {key: _draft7(value) for key, value in node.items()}
    return [_draft7(item) for item in node] if isinstance(node, list) else node
