"""One POST over HTTP that ends in its time, and holds no more than was asked, whatever answers.

Not covered: proxies, redirects, looking up a name that its server does not answer for.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit


def post(
    url: str, body: bytes, headers: Mapping[str, str], seconds: float, most: int
) -> tuple[int, bytes, str]:
    """Post; return the status, the reply, and what Retry-After says.

    Ends within `seconds` even where the server trickles headers or the body, or says `100 Continue`
    for ever. Raises OSError, HTTPException or ValueError.
    """
    address = urlsplit(url)
    secure = address.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=seconds)
    late = threading.Event()
    try:
        connection.connect()
        timer = threading.Timer(seconds, _cut, [connection.sock, late])
        timer.daemon = True
        timer.start()
        try:
            connection.request("POST", address.path, body, dict(headers))
            response = connection.getresponse()
            reply = _read(response, most)
        finally:
            timer.cancel()
            if late.is_set():  # what was read then is not the whole, whatever it looks like
                raise TimeoutError("the reply took too long")
        return response.status, reply, response.headers.get("Retry-After", "")
    finally:
        connection.close()


def _cut(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # it ended by itself
        connected.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if size > most:
            raise OSError("the reply is huge")
    return b"".join(parts)
