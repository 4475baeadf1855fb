"""An original-protocol client that takes one frame at a time from its socket, and knows how many.

python benchmarks/original_client.py URL COUNT close|kill|stall
python benchmarks/original_client.py URL LAST all

Prints a line for each message it takes: task, kind and checksum. Libraries read ahead and answer
pings in the background, so what they took is not exact; here a ping is answered only when it is
reached in the stream. `all` takes everything up to the result of the task LAST, and what follows
within half a second.
"""

import json
import os
import signal
import socket
import struct
import sys
import zlib
from typing import Any, Final

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

_RECEIVE_BYTES: Final = 4096
_PATIENCE_SECONDS: Final = 15.0
_QUIET_SECONDS: Final = 0.5


def line(message: dict[str, Any]) -> str:
    """A message of the original protocol as task, kind, and checksum of its pages."""
    kind = "result" if "result" in message else str(message["status"])
    pages = json.dumps(message["result"]["markdown"]) if "result" in message else ""
    return f"{message['task_id']} {kind} {zlib.crc32(pages.encode())}"


class Client:
    """One connection, read frame by frame."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(url)
        self._protocol = ClientProtocol(uri)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self.socket.settimeout(_PATIENCE_SECONDS)
        self.socket.connect((uri.host, uri.port))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        self._protocol.receive_data(head)
        self._protocol.events_received()
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc

    def take(self) -> dict[str, Any]:
        """The next message; pings before it are answered."""
        while True:
            self._protocol.receive_data(self._frame())
            self._flush()
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    message: dict[str, Any] = json.loads(bytes(event.data))
                    return message

    def close(self) -> None:
        """Say goodbye; what comes before the answer is thrown away and not answered."""
        self._protocol.send_close(1000)
        self._flush()
        try:
            while self._frame()[0] & 15 != Opcode.CLOSE:
                pass
        except EOFError:
            pass
        self.socket.close()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self.socket.sendall(data)

    def _frame(self) -> bytes:
        head = self._exactly(2)
        size = head[1] & 127
        if size == 126:
            head += self._exactly(2)
            (size,) = struct.unpack("!H", head[2:])
        elif size == 127:
            head += self._exactly(8)
            (size,) = struct.unpack("!Q", head[2:])
        return head + self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            block = self.socket.recv(size - len(data))
            if not block:
                raise EOFError("the server closed the connection")
            data += block
        return data


def _take_all(client: Client, last: str) -> None:
    try:
        while True:
            message = client.take()
            print(line(message), flush=True)
            if message["task_id"] == last and "result" in message:
                client.socket.settimeout(_QUIET_SECONDS)
    except TimeoutError:
        client.close()


def main() -> None:
    url, upto, ending = sys.argv[1:]
    client = Client(url)
    if ending == "all":
        _take_all(client, upto)
        return
    for _ in range(int(upto)):
        print(line(client.take()), flush=True)
    if ending == "close":
        client.close()
    elif ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        print("stalled", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
