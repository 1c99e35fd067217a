"""Which chat model is chosen, and what is said when none can be."""

import asyncio
import gc
import importlib.util
import json
import os
import threading
import weakref
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_openai import ChatOpenAI

from agents import Agent
from agents.errors import ConfigurationError, NoModelError
from agents.models import chat_model, model_name
from agents.models.openai_compatible import first_model, for_any_loop, openai_chat
from agents.models.resolve import DEFAULT_OPENAI_MODEL
from agents.testing import Fault, FaultyProvider
from graphs import Step, Workflow
from graphs.show.run_summary import RunSummary
from graphs.show.tables import costs
from tests.loopback import Handler, Loopback

REPLY = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "first",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {
        "prompt_tokens": 4,
        "completion_tokens": 1,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 3},
    },
}

needs_runtime = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="podium[local] is not installed")


class Provider(Loopback):
    """Keeps connections open, as real servers do, and counts them and the requests."""

    models: tuple[str, ...] = ("first", "second")
    loading = 0
    """Questions for the models that are answered 503 before the first answer."""

    def __init__(self) -> None:
        super().__init__(Answer)
        self.connections = 0
        self.requests = 0
        self.url += "/v1"


class Answer(Handler):
    server: Provider
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def serve(self, body: bytes) -> None:
        if self.command == "POST":
            self.server.requests += 1
            self.send(REPLY)
        elif self.server.loading:
            self.server.loading -= 1
            self.send({"error": {"message": "Loading model", "code": 503}}, 503)
        else:
            self.send({"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.models]})

    def send(self, body: dict[str, object], status: int = 200) -> None:
        self.answer(json.dumps(body).encode(), status=status)


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OPENAI", "PODIUM", "ANTHROPIC"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


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
    with FaultyProvider(Fault(500)) as failing:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", failing.base_url)
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


def test_a_server_that_is_loading_its_model_is_asked_for_its_first_one_again(provider: Provider) -> None:
    provider.loading = 2
    assert model_name(chat_model()) == "first"


def test_a_server_that_never_finishes_loading_is_given_up(provider: Provider) -> None:
    provider.loading = 1000
    with pytest.raises(NoModelError, match="Loading model"):
        first_model(provider.url, "key", loading_seconds=0.5)
    assert provider.loading >= 997


def test_a_server_without_models_asks_for_a_name(provider: Provider) -> None:
    provider.models = ()
    with pytest.raises(NoModelError, match=r"Set OPENAI_MODEL: .*it lists no model"):
        chat_model()


@pytest.mark.parametrize("body", [b'{"object": "list"}', b"[]", b'{"data": ["m"]}'])
def test_a_server_that_lists_models_in_another_form_asks_for_a_name(body: bytes) -> None:
    class Models(Handler):
        def serve(self, _: bytes) -> None:
            self.answer(body)

    with Loopback(Models) as server, pytest.raises(NoModelError, match="Set OPENAI_MODEL"):
        first_model(server.url, "key")


def talk(*models: BaseChatModel) -> None:
    """Call each model twice in an event loop of their own."""

    async def each_twice() -> None:
        for model in models * 2:
            assert (await model.ainvoke("hi")).text == "hello"

    asyncio.run(each_twice())


def test_models_of_a_provider_share_one_connection_per_event_loop(provider: Provider) -> None:
    models = [openai_chat(name, base_url=provider.url, api_key="key") for name in ("one", "two")]
    for _ in range(3):
        talk(*models)
    assert (provider.connections, provider.requests) == (3, 12)
    threads = [threading.Thread(target=talk, args=models) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (provider.connections, provider.requests) == (6, 24)


def test_tokens_from_the_prompt_cache_are_counted(provider: Provider, call: Any) -> None:
    steps = [Step("a", "clerk", "Greet."), Step("b", "clerk", "Greet.")]
    clerk = Agent("clerk", instructions="Be short.", model=openai_chat("first", base_url=provider.url, api_key="key"))
    state = call(Workflow(steps, agents=[clerk]).compile(), {"messages": "Hi"})
    used = {"calls": 2, "input_tokens": 8, "output_tokens": 2, "cached_tokens": 6}
    assert state["usage"] == {**used, "agents": {"clerk": used}}
    assert "6 read from a prompt cache" in costs(RunSummary.of(state)).note


def test_sync_calls_of_a_provider_share_one_connection(provider: Provider) -> None:
    for name in ("one", "two", "one"):
        openai_chat(name, base_url=provider.url, api_key="key")
    models = [openai_chat(name, base_url=provider.url, api_key="key") for name in ("one", "two")]
    for model in models * 2:
        assert model.invoke("hi").text == "hello"
    assert (provider.connections, provider.requests) == (1, 4)


def test_a_loop_that_ends_leaves_no_client_behind(provider: Provider) -> None:
    model = openai_chat("one", base_url=provider.url, api_key="key")
    for _ in range(3):
        talk(model)
    client = weakref.ref(model.http_async_client)
    assert client()._by_loop == {}
    del model
    gc.collect()
    assert client() is None


def test_a_users_own_model_sends_each_request_once_in_several_loops(provider: Provider) -> None:
    model = ChatOpenAI(model="own", base_url=provider.url, api_key="key")
    agent = Agent("clerk", instructions="Work.", model=model)
    for _ in range(3):
        assert asyncio.run(agent.ainvoke("hi"))["text"] == "hello"
    assert provider.requests == 3


def test_a_users_own_model_is_used_as_it_is_set_now(provider: Provider) -> None:
    model = ChatOpenAI(model="own", base_url=provider.url, api_key="key")
    first = for_any_loop(model)
    assert for_any_loop(model) is first is not model
    model.temperature = 0.5
    assert for_any_loop(model).temperature == 0.5
    own_client = ChatOpenAI(model="own", base_url=provider.url, api_key="key", http_async_client=httpx2.AsyncClient())
    assert for_any_loop(own_client) is own_client


def test_retries_of_a_users_own_model_are_podiums_unless_they_are_set(call: Any) -> None:
    for retries, requests in ((None, 1), (1, 2)):
        with FaultyProvider(Fault(500, {"retry-after-ms": "1"})) as failing:
            own = ChatOpenAI(model="own", base_url=failing.base_url, api_key="key", max_retries=retries)
            with pytest.raises(openai.InternalServerError):
                call(for_any_loop(own), "Hi")
        assert len(failing.requests) == requests


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


def test_a_proxy_in_the_environment_is_nothing_to_warn_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    openai_chat("test", api_key="none", trust_env=False)
    assert (caplog.records, capfd.readouterr().err) == ([], "")


def test_a_model_without_a_name_is_called_by_its_class() -> None:
    assert model_name(FakeListChatModel(responses=[])) == "FakeListChatModel"
