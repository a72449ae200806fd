"""A hub takes forms and small documents: of what is larger, it keeps nothing.

Upstream leaves the 100 MB of tornado, kept in memory before anybody is asked who sends it. Apache refuses
what is too large for a hub (apache/conf/limits.conf), but a person's address leads here when nothing of
theirs runs.

Not by tornado's `max_body_size`: it hangs up on who is still sending, and the proxy between them sometimes
waits for a minute then, and its client with it.
"""

from collections.abc import Awaitable

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

LARGEST = 1 << 20  # bytes
READ = 1 << 29  # bytes that are read at all, and forgotten: as much as Apache lets through


def bound() -> None:
    """Let every HTTP server of this process refuse more. To be called before any is made."""
    HTTPServer.configure(Bounded, max_body_size=READ)


class Bounded(HTTPServer):
    """Answers 413 to a body that is larger than LARGEST, once it is there."""

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Look at a request before the application does."""
        return _Request(super().start_request(server_conn, request_conn), request_conn)


class _Request(HTTPMessageDelegate):
    def __init__(self, inner: HTTPMessageDelegate, connection: HTTPConnection) -> None:
        self.inner, self.connection, self.size = inner, connection, 0

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        return self.inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.size += len(chunk)
        return self.inner.data_received(chunk) if self.size <= LARGEST else None

    def finish(self) -> None:
        if self.size <= LARGEST:
            self.inner.finish()
            return
        self.inner.on_connection_close()  # the application forgets the request
        line = ResponseStartLine("HTTP/1.1", 413, "Content Too Large")
        self.connection.write_headers(line, HTTPHeaders({"Content-Length": "0"}))
        self.connection.finish()

    def on_connection_close(self) -> None:
        self.inner.on_connection_close()
