"""A server on 127.0.0.1 that answers with raw bytes, well formed or not; it stops by itself."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator

LIFE = 20.0
"""Seconds after which it has stopped, whatever a test does."""


@contextlib.contextmanager
def hostile(pieces: Iterable[bytes], pause: float = 0.0) -> Iterator[str]:
    """The address of a server that sends each client these pieces, `pause` seconds apart."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    ended, deadline, kept = threading.Event(), time.monotonic() + LIFE, list(pieces)

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(1)
            client.recv(1 << 20)
            for piece in kept:
                if ended.is_set() or time.monotonic() > deadline:
                    return
                client.sendall(piece)
                time.sleep(pause)

    def serve() -> None:
        while not ended.is_set() and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                client = server.accept()[0]
                threading.Thread(target=answer, args=[client], daemon=True).start()
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    ended.set()
    thread.join()
