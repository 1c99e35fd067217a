"""The door of a server by itself: its token, the file of the token, and which requests its guard lets pass."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import pytest

from agents import ConfigurationError
from graphs.server.token import make_token, server_token, token_file
from tests.server_process import ROOT

RULE = json.loads((ROOT / "langgraph.json").read_text())["http"]


def loaded(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Any:
    """Load the door as the server of these settings does."""
    monkeypatch.delenv("PODIUM_TOKEN", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    spec: Any = find_spec("graphs.server.auth")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("token", ["", "two words"])
def test_a_token_that_cannot_be_asked_for_opens_nothing(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="PODIUM_TOKEN must be ASCII text"):
        loaded(monkeypatch, PODIUM_TOKEN=token)


def test_a_server_without_a_token_makes_one_that_only_its_user_can_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    door = loaded(monkeypatch, XDG_DATA_HOME=str(tmp_path), LANGGRAPH_API_URL="http://here")
    file = tmp_path / "podium" / "server-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    right = [*HERE, ("authorization", f"Bearer {file.read_text()}")]
    assert [status(door.Guard, {"headers": headers}) for headers in (HERE, right)] == [401, 200]

    async def start() -> None:
        async with door.lifespan(door.app):
            pass

    before = os.umask(0)
    asyncio.run(start())
    assert os.umask(before) == 0o077
    assert f"baseUrl=http://here/t/{file.read_text()}\n" in capsys.readouterr().err


def status(guard: Any, scope: dict[str, Any]) -> int:
    """Return the status with which the guard lets a request pass or refuses it."""
    replies: list[dict[str, int]] = []

    async def app(*_: object) -> None:
        replies.append({"status": 200})

    async def send(reply: dict[str, int]) -> None:
        replies.append(reply)

    headers = [(name.encode(), value.encode()) for name, value in scope["headers"]]
    asyncio.run(guard(app)({"type": "http", "path": "/runs", **scope, "headers": headers}, None, send))
    return replies[0].get("status") or replies[0]["code"]


HERE = [("host", "localhost:2024")]


ATTACKS: list[tuple[dict[str, Any], int]] = [
    ({"headers": HERE, "client": ["127.0.0.1", 1]}, 200),
    ({"headers": HERE, "client": ["::1", 1]}, 200),
    ({"headers": HERE, "client": None}, 200),
    ({"headers": HERE, "client": ["192.168.1.9", 1]}, 403),
    ({"headers": HERE, "client": ["fe80::1", 1]}, 403),
    ({"headers": [*HERE, ("origin", "http://localhost:3000")], "type": "websocket"}, 200),
    ({"headers": [*HERE, ("origin", "https://example.org")], "type": "websocket"}, 1008),
    ({"headers": [("host", "example.org")], "type": "websocket"}, 1008),
    ({"headers": [("host", "localhost@example.org")]}, 403),
    ({"headers": [("host", "2130706433")]}, 403),
    ({"headers": [*HERE, ("origin", "http://localhost:3000@example.org")]}, 403),
    ({"headers": [*HERE, ("origin", "file://")]}, 403),
    ({"headers": HERE, "path": "/internal/truncate"}, 404),
    ({"headers": HERE, "path": "/api/internal/truncate", "root_path": "/api"}, 404),
    ({"headers": HERE, "path": "/deploy"}, 404),
    ({"headers": [("host", "[::1]:80")]}, 200),
    ({"headers": [("host", "")]}, 403),
    ({"headers": [("host", "127.0.0.1.example.org"), ("origin", "http://localhost:3000")]}, 403),
    ({"headers": [*HERE, ("origin", "null")]}, 403),
    ({"headers": [*HERE, ("origin", "https://example.org"), ("content-type", "text/plain")]}, 403),
    ({"headers": [*HERE, ("sec-fetch-site", "cross-site")]}, 403),
    ({"headers": [*HERE, ("sec-fetch-site", "same-site")]}, 200),
]


def test_the_guard_refuses_other_machines_sites_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = loaded(monkeypatch, PODIUM_TOKEN="none", LANGGRAPH_HTTP=json.dumps(RULE)).Guard
    assert [(scope, status(guard, scope)) for scope, _ in ATTACKS] == ATTACKS


def test_a_token_file_that_was_never_written_lets_nobody_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PODIUM_TOKEN", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    token_file().parent.mkdir(parents=True)
    token_file().touch()
    with pytest.raises(ConfigurationError, match="no token yet"):
        server_token()
    assert len(make_token() or "") > 40
    assert make_token() == server_token() == token_file().read_text()


def test_a_token_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PODIUM_TOKEN", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    token_file().mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"server-token.*PODIUM_TOKEN"):
        server_token()
