"""A hub takes forms and small documents: what is larger, or does not arrive, is refused unread.

Upstream leaves tornado's 100 MB, kept in memory before anybody is asked who sends it. Apache refuses the same
size (apache/conf/limits.conf), but a person's address leads here when nothing of theirs runs.
"""

from tornado.httpserver import HTTPServer

LARGEST = 1 << 20  # bytes
WITHIN = 60  # seconds for a body to arrive


def bound() -> None:
    """Let every HTTP server of this process refuse more. To be called before any is made."""
    HTTPServer.configure(None, max_body_size=LARGEST, body_timeout=WITHIN)
