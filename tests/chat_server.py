"""A real HTTP server in the place of a chat endpoint, whose replies a test decides."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer:
    """Counts who is being answered at a time; `respond` says status and bytes."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any], Any]] = []
        """Path, body and headers, as they came."""
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.handle(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def respond(self, body: dict[str, Any]) -> tuple[int, bytes]:
        raise NotImplementedError

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self.lock:
            self.requests.append((request.path, body, request.headers))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        status, told = self.respond(body)
        with self.lock:
            self.at_once -= 1
        try:
            request.send_response(status)
            request.send_header("Content-Length", str(len(told)))
            request.end_headers()
            request.wfile.write(told)
        except OSError:
            pass  # the client gave up

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
