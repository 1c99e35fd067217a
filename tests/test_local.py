"""The local model itself: its server, its replies, and who may use it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from agents.models.local import PROFILE, available, find, local_model, prepare
from agents.models.local.prompts import _save
from agents.models.local.server import SLOTS, TIMEOUT_SECONDS, LocalModelError, Running, Server, chat, server_of
from agents.models.local.server_process import restore, wait_until_idle
from agents.teams import team
from agents.testing import FaultyProvider, ScriptedModel
from graphs import Planner
from graphs.cli.models import SUM, stable_prompts
from graphs.show.notebook import model_or
from tests.loopback import Handler, Loopback
from tests.processes import Processes


def real(test: object) -> object:
    """Mark a test that needs the runtime and the weights."""
    return pytest.mark.local_model(pytest.mark.skipif(not available(), reason="no local model")(test))


CHOICE = {
    "title": "Choice",
    "type": "object",
    "properties": {"agent": {"enum": ["writer", "clerk"]}},
    "required": ["agent"],
    "additionalProperties": False,
}


EARLIER = "An earlier server answers."


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Have a model answer through an earlier server, then, when that has ended, through one that no program shares."""
    path = find()
    assert path is not None
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PODIUM_MODEL_FILE", str(path))
        environment.setenv("PODIUM_CACHE", str(folder))
        server = Server(path, path.stem)
        server.file.parent.mkdir()
        with FaultyProvider(EARLIER) as earlier:
            server._write(Running(earlier.base_url.removesuffix("/v1"), "key", os.getpid()))
            model = local_model(max_tokens=2)
            before = model.invoke("Hi").text
        after = {"sync": model.invoke("Hi").text, "async": asyncio.run(model.ainvoke("Hi")).text}
        yield {"before": before, **after, "file": str(server.file)}
        os.kill(json.loads(server.file.read_text())["process"], signal.SIGTERM)


@pytest.fixture
def own_server(replies: dict[str, str]) -> Path:
    """Return the private file of the server."""
    return Path(replies["file"])


def status(server: dict[str, Any], **headers: str) -> tuple[int, str | None]:
    with httpx2.Client(headers=headers, trust_env=False) as client:
        reply = client.get(f"{server['address']}/v1/models")
    return reply.status_code, reply.headers.get("Access-Control-Allow-Origin")


@real
def test_programs_of_a_user_share_one_server_and_nobody_else_does(own_server: Path, processes: Processes) -> None:
    server = json.loads(own_server.read_text())
    assert stat.S_IMODE(own_server.stat().st_mode) == 0o600
    script = "from agents.models.local import local_model; print(local_model(max_tokens=2).invoke('Hi').text)"
    there = {name: os.environ[name] for name in ("PODIUM_MODEL_FILE", "PODIUM_CACHE")}
    assert processes.start(script=script, **there).wait().out.strip()
    assert json.loads(own_server.read_text()) == server
    key = f"Bearer {server['key']}"
    assert status(server)[0] == status(server, authorization="Bearer local")[0] == 401
    assert status(server, authorization=key, origin="http://evil.example") in ((200, None), (200, ""))


@real
@pytest.mark.usefixtures("own_server")
def test_a_reply_has_text_usage_and_a_reason_to_stop() -> None:
    reply = local_model(max_tokens=3).invoke("Count from one to a hundred in words.")
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 3
    assert reply.response_metadata["finish_reason"] == "length"


@real
@pytest.mark.usefixtures("own_server")
def test_a_stream_reports_usage() -> None:
    chunks = list(local_model(max_tokens=3).stream("Count from one to a hundred in words."))
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) == 3


@real
@pytest.mark.usefixtures("own_server")
def test_a_schema_is_enforced() -> None:
    choice = local_model().with_structured_output(CHOICE, method="json_schema").invoke("Who writes an essay?")
    assert choice["agent"] in {"writer", "clerk"}


@real
@pytest.mark.usefixtures("own_server")
def test_requests_work_from_several_threads_and_loops_at_once() -> None:
    model = local_model(max_tokens=2)

    async def both() -> list[object]:
        return list(await asyncio.gather(model.ainvoke("Hi"), model.ainvoke("Hello")))

    replies: list[object] = []
    threads = [threading.Thread(target=lambda: replies.extend(asyncio.run(both()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 4


@real
@pytest.mark.usefixtures("own_server")
def test_the_model_says_that_it_cannot_call_tools() -> None:
    assert local_model() is local_model()
    assert (local_model().profile or {})["tool_calling"] is False


@real
@pytest.mark.usefixtures("own_server")
def test_the_local_model_is_used_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PODIUM_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    model_or(["Hello"])
    assert "qwen" in capsys.readouterr().out


@real
def test_a_model_whose_server_has_ended_starts_another(replies: dict[str, str]) -> None:
    assert replies["before"] == EARLIER
    for text in (replies["sync"], replies["async"]):
        assert text not in ("", EARLIER)


def test_a_model_that_reads_its_prompt_for_minutes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    (tmp_path / "model.gguf").touch()
    assert chat(Server(tmp_path / "model.gguf", "slow"), {}).stream_chunk_timeout == TIMEOUT_SECONDS


def test_a_server_is_idle_once_no_request_is_at_work_and_its_counters_stand_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # which cannot reach the loopback interface
    at_work = "# HELP llamacpp:requests_processing 1\nllamacpp:requests_processing {}\nllamacpp:tokens_total {}\n"
    stands = [at_work.format(1, 5), at_work.format(1, 5), at_work.format(0, 6), at_work.format(0, 7)]
    looks: list[str | None] = []

    class Metrics(Handler):
        def serve(self, body: bytes) -> None:
            stand = stands[min(len(looks), len(stands) - 1)]
            looks.append(self.headers["Authorization"])
            self.answer(stand.encode())

    with Loopback(Metrics) as server:
        wait_until_idle(server.url, "key", idle_seconds=0.5)
    assert len(looks) > len(stands)
    assert set(looks) == {"Bearer key"}


def test_a_prompt_that_a_runtime_cannot_load_is_removed_and_the_others_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asked: list[tuple[str, str | None]] = []

    class Slots(Handler):
        def serve(self, body: bytes) -> None:
            asked.append((self.path, json.loads(body).get("filename")))
            self.answer(b"{}", status=400 if b"damaged" in body else 200)

    for name in ("a", "damaged", "z"):
        (tmp_path / f"{name}.bin").touch()
    with Loopback(Slots) as server:
        restore(server.url, "key", tmp_path, slots=2)
    assert asked[-1] == ("/slots/0?action=restore", "z.bin")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.bin", "z.bin"]


def test_a_runtime_that_cannot_store_a_prompt_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Handler):
        def serve(self, body: bytes) -> None:
            self.answer(b"{}", status=500 if body else 200)

    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    (tmp_path / "model.gguf").touch()
    server = Server(tmp_path / "model.gguf", "full")
    server.file.parent.mkdir()
    with Loopback(Full) as runtime:
        server._write(Running(runtime.url, "key", os.getpid()))
        with pytest.raises(LocalModelError, match="is the disk full"):
            _save(server, "new")


def beginning(word: str) -> list[BaseMessage]:
    return [SystemMessage(f"You are a {word}. " + f"Every {word} is brief, and answers with one word. " * 3)]


@real
def test_a_server_that_starts_has_read_the_prompts_prepared_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes
) -> None:
    monkeypatch.setenv("PODIUM_MODEL_FILE", str(find()))
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    beginnings = [beginning(word) for word in ("gardener", "carpenter", "painter")]
    assert len(beginnings) > SLOTS
    prepare(beginnings)
    server = server_of(None)
    assert server.look_up() is None
    (server.prompts / "damaged.bin").write_text("not a state of the runtime")
    model = local_model(max_tokens=1)
    for prompt in beginnings:
        usage = model.invoke([*prompt, HumanMessage("Hello")]).usage_metadata
        assert usage is not None
        assert usage["input_tokens"] - usage["input_token_details"]["cache_read"] < 20
    os.kill(json.loads(server.file.read_text())["process"], signal.SIGTERM)
    prepare(beginnings[:1])
    assert len(list(server.prompts.iterdir())) == 1


def test_the_prompts_that_are_read_in_advance_are_those_of_the_default_team() -> None:
    prepared = stable_prompts()
    request = "What do 4 pens at 9 cost?"
    plan = {"steps": [{"id": "pens", "task": request, "agent": "analyst"}]}
    model = ScriptedModel([plan, "total = 4 * 9"], default="36", profile=PROFILE)
    Planner(team(model=model), model=model).compile().invoke({"messages": request})
    assert [list(call.messages[:-1]) in prepared for call in model.calls[:2]] == [True, True]
    assert not any(SUM in message.text for prompt in prepared for message in prompt)
