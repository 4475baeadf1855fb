"""A wire between a client and a Redis server: cut, silent, lying, or answering as it is told."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Wire:
    """Passes bytes on; `mode` is pass, silent (answers nothing), cut, or an error to answer."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.mode = "pass"
        self.rewrite: Callable[[bytes], bytes] = lambda answer: answer
        self.port = 0
        self.requests = 0
        """Bytes arrived from the client in so many pieces: one a round trip, for small requests."""
        self.loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self.stopping = asyncio.Event()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def set(self, mode: str) -> None:
        """Change what the wire does; open connections are cut."""
        self.mode = mode
        self.loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.mode == "cut":
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._writers.add(up_writer)
            back = asyncio.create_task(self._back(up_reader, writer))
            while data := await reader.read(65536):
                self.requests += 1
                if self.mode == "pass":
                    up_writer.write(data)
                elif self.mode != "silent":
                    commands = max(1, data.count(b"*"))
                    writer.write((f"-{self.mode}\r\n" * commands).encode())
            back.cancel()
            up_writer.close()
        except (ConnectionError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(65536):
                writer.write(self.rewrite(data))
            writer.close()


@contextmanager
def wire(upstream: int) -> Iterator[Wire]:
    """A wire to a server's port, until the end."""
    made = Wire(upstream)
    started = threading.Event()

    async def main() -> None:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        started.set()
        await made.stopping.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        made._cut()
        await asyncio.sleep(0.01)  # what was closed is gone with its loop

    thread = threading.Thread(target=lambda: made.loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield made
    finally:
        made.loop.call_soon_threadsafe(made.stopping.set)
        thread.join(10)
        made.loop.close()
