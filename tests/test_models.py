"""Which chat model is chosen, and what is said when none can be."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import openai
import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_openai import ChatOpenAI

from agents.errors import ConfigurationError, NoModelError
from agents.models import chat_model, model_name
from agents.models.resolve import DEFAULT_OPENAI_MODEL
from tests.endpoint import Endpoint as FaultyEndpoint
from tests.endpoint import Fault

REPLY = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "first",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}

needs_runtime = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="podium[local] is not installed")


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open, as real servers do
    models: tuple[str, ...] = ("first", "second")

    def do_GET(self) -> None:
        self.answer({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(REPLY)

    def answer(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


class NoModels(Endpoint):
    models = ()


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OPENAI", "PODIUM", "ANTHROPIC"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))


def serve(handler: type[Endpoint]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for address in serve(Endpoint):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        yield address


@pytest.fixture
def empty_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for address in serve(NoModels):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        yield address


def test_an_instance_is_taken_as_it_is() -> None:
    model = FakeListChatModel(responses=["hi"])
    assert chat_model(model) is model


def test_nothing_configured_says_in_three_lines_what_to_set() -> None:
    with pytest.raises(NoModelError, match=r"PODIUM_MODEL[\s\S]*OPENAI_BASE_URL[\s\S]*podium model pull") as error:
        chat_model()
    assert len(str(error.value).splitlines()) == 3


def test_openai_has_a_default_and_leaves_retries_to_podium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    model = chat_model()
    assert isinstance(model, ChatOpenAI)
    assert (model.model_name, model.max_retries) == (DEFAULT_OPENAI_MODEL, 0)


def test_other_providers_leave_retries_to_podium_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyEndpoint([Fault(500)], repeat=True) as failing:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", failing.url)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
        monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
        with pytest.raises(openai.InternalServerError):
            chat_model("azure_openai:gpt").invoke("Hi")
    assert len(failing.requests) == 1


def test_the_environment_names_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_MODEL", "one")
    assert model_name(chat_model()) == "one"
    monkeypatch.setenv("PODIUM_MODEL", "openai:two")
    assert model_name(chat_model()) == "two"
    assert model_name(chat_model("openai:three")) == "three"


def test_the_same_settings_share_one_object_and_changed_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    model = chat_model()
    assert chat_model() is model
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    assert chat_model() is not model


def test_an_endpoint_is_asked_for_its_first_model(endpoint: str) -> None:
    assert model_name(chat_model()) == "first"


def test_one_object_answers_in_several_event_loops(endpoint: str) -> None:
    model = chat_model()
    assert [asyncio.run(model.ainvoke("hi")).text for _ in range(3)] == ["hello"] * 3
    assert model.invoke("hi").text == "hello"


def test_an_endpoint_without_models_asks_for_a_name(empty_endpoint: str) -> None:
    with pytest.raises(NoModelError, match=r"Set OPENAI_MODEL: .*it lists no model"):
        chat_model()


def test_an_endpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(NoModelError, match=r"127\.0\.0\.1:9/v1 cannot be reached; check OPENAI_BASE_URL"):
        chat_model()


def test_openai_without_a_key_says_so() -> None:
    with pytest.raises(NoModelError, match="OPENAI_API_KEY"):
        chat_model("openai:one")


@pytest.mark.skipif(importlib.util.find_spec("langchain_anthropic") is not None, reason="it is installed")
def test_a_missing_provider_package_is_named() -> None:
    with pytest.raises(NoModelError, match="pip install langchain-anthropic"):
        chat_model("anthropic:claude")


@pytest.mark.parametrize("setting", ["nonsense:model", "one", "openai:"])
def test_a_setting_that_makes_no_sense_is_named(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        chat_model(setting)


@needs_runtime
def test_the_local_model_must_be_pulled_first() -> None:
    with pytest.raises(NoModelError, match=r"podium model pull qwen2\.5-coder-0\.5b"):
        chat_model("local:qwen2.5-coder-0.5b")


def test_a_proxy_in_the_environment_is_nothing_to_warn_of() -> None:
    script = "from agents.models.openai_compatible import openai_chat as c; c('test', api_key='none', trust_env=False)"
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_model_without_a_name_is_called_by_its_class() -> None:
    assert model_name(FakeListChatModel(responses=[])) == "FakeListChatModel"
