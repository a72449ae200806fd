"""A name is looked up anew each time."""

import asyncio

import aiohttp
import pytest

from benchtop_hub.upstream import names


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", aiohttp.connector.DefaultResolver)


def test_clients_made_from_now_on_ask_the_system():
    names.ask_the_system()

    async def made():
        connector = aiohttp.TCPConnector()
        await connector.close()
        return connector._resolver

    assert isinstance(asyncio.run(made()), aiohttp.ThreadedResolver)
