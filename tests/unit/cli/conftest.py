"""Things of which each test wants a slightly different one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchtop.settings import Settings
from benchtop.stack.compose import Container


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of an empty checkout."""
    return Settings(
        root=tmp_path,
        name="jupyter.localhost",
        login_name="login.jupyter.localhost",
        bind="127.0.0.1",
        port=8443,
        base="base:trixie",
        project="benchtop",
        support="support@benchtop.example",
    )


@pytest.fixture
def container(tmp_path: Path) -> Callable[..., Container]:
    """A healthy Apache of this checkout, less what a test wants otherwise."""

    def make(**other: Any) -> Container:
        plain: dict[str, Any] = {
            "id": "0",
            "name": "benchtop-apache-1",
            "service": "apache",
            "project": "benchtop",
            "folder": str(tmp_path),
            "image": "benchtop/apache",
            "built": "sha256:0",
            "state": "running",
            "health": "healthy",
            "exit_code": 0,
            "restarts": 0,
            "policy": "unless-stopped",
            "started": "",
            "health_output": "",
            "ports": (("127.0.0.1", 8443),),
        }
        return Container(**{**plain, **other})

    return make
