"""A hub takes small bodies alone."""

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import AsyncHTTPTestCase
from tornado.web import Application, RequestHandler

from benchtop_hub.upstream import bodies


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    HTTPServer.configure(None)


class Takes(RequestHandler):
    """Says how much it was sent."""

    def post(self) -> None:  # noqa: D102
        self.write(str(len(self.request.body)))


class TestAServerMadeFromNowOn(AsyncHTTPTestCase):
    """What hubs are asked."""

    def get_app(self) -> Application:  # noqa: D102
        bodies.bound()
        return Application([("/", Takes)])

    def test_takes_what_is_small_and_refuses_what_is_not(self) -> None:  # noqa: D102
        small = self.fetch("/", method="POST", body=b"x" * bodies.LARGEST)
        assert (small.code, small.body) == (200, str(bodies.LARGEST).encode())
        assert self.fetch("/", method="POST", body=b"x" * (bodies.LARGEST + 1)).code == 413
        assert self.fetch("/", method="POST", body=b"x" * (20 * bodies.LARGEST)).code == 413
