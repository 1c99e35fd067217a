"""A real conversation is recorded once, and replayed without a network until a prompt changes."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from agents import Agent, ConfigurationError
from agents.decisions import Decision
from agents.runtime import is_transient
from agents.testing import Fault, FaultyProvider, RecordedModel, RecordingError, Reply, ScriptedModel
from graphs import Planner
from tests.chat import add
from tests.markdown import page
from tests.tables import each

STEPS = [
    {"id": "sum", "agent": "clerk", "task": "Add 2 and 3", "dependencies": []},
    {"id": "poem", "agent": "poet", "task": "Write two lines\nabout rain", "dependencies": []},
    {"id": "both", "agent": "poet", "task": "Put them together", "dependencies": ["sum", "poem"]},
]
KEY = "sk-a-very-secret-key"


class Office(FaultyProvider):
    """Plans `STEPS`, has the clerk use the tool, with ids that differ in every run, and answers the rest."""

    def reply_to(self, request: dict[str, Any], headers: dict[str, str]) -> Any:
        super().reply_to(request, headers)
        system, *_, last = request["messages"]
        if "You are the planner" in system["content"]:
            return json.dumps({"steps": STEPS}, separators=(",", ":"))
        if request.get("tools") and last["role"] == "user":
            return Reply(tool_calls=[{"name": "add", "args": {"a": 2, "b": 3}}])
        return f"Done: {last['content'][-40:]}"


def planner(model: Any, *, poet: str = "You write poems.", tools: Any = (add,)) -> Any:
    return Planner(
        [
            Agent("clerk", "Reckons.", instructions="You reckon.", tools=list(tools), model=model),
            Agent("poet", "Writes.", instructions=poet, model=model),
        ],
        model=model,
    ).compile()


def real(endpoint: FaultyProvider) -> ChatOpenAI:
    return ChatOpenAI(base_url=endpoint.base_url, api_key=KEY, model="gpt-test", max_retries=0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return a recording of a planner's run, whose endpoint is gone, and the run's result."""
    file = tmp_path_factory.mktemp("recording") / "plans" / "rain.yaml"
    with Office() as endpoint, RecordedModel(file, real(endpoint)) as model:
        result = planner(model).invoke({"messages": "A poem about 2 + 3"})
    assert result["status"] == "completed"
    assert result["usage"]["calls"] == len(endpoint.requests) == 5
    return file, result


def test_a_run_is_replayed_without_its_endpoint(call: Any, recorded: tuple[Path, dict[str, Any]]) -> None:
    file, result = recorded
    with RecordedModel(file) as model:
        again = call(planner(model), {"messages": "A poem about 2 + 3"})
    assert again["messages"][-1].content == result["messages"][-1].content
    assert again["usage"] == result["usage"]
    assert again["steps"]["sum"]["result"] == result["steps"]["sum"]["result"]


def test_the_file_reads_like_the_conversation(recorded: tuple[Path, dict[str, Any]]) -> None:
    text = recorded[0].read_text()
    assert "      Your task: Write two lines\n      about rain\n" in text
    assert "    calls:\n    - add:\n        a: 2\n        b: 3\n" in text
    assert "  - tool: '5'\n    result_of: add\n" in text
    assert "    compact_json:\n      steps:\n      - id: sum\n        agent: clerk\n" in text
    assert text.count("description: Add two numbers.") == 1
    for private in (KEY, "127.0.0.1", "call_", "run--", "lc_run", "chatcmpl"):
        assert private not in text


def test_a_changed_prompt_fails_loudly_and_says_what_changed(call: Any, recorded: tuple[Path, dict[str, Any]]) -> None:
    model = RecordedModel(recorded[0])
    with pytest.raises(RecordingError) as failed:
        call(planner(model, poet="You write ballads."), {"messages": "A poem about 2 + 3"})
    changed = [line for line in str(failed.value).splitlines() if line.startswith(("--", "++", "-", "+"))]
    assert changed == ["--- recorded", "+++ asked", "-- system: You write poems.", "+- system: You write ballads."]
    assert "PODIUM_RECORD=1" in str(failed.value)
    assert isinstance(failed.value, AssertionError)
    assert not is_transient(failed.value)


def test_a_changed_tool_fails_loudly(recorded: tuple[Path, dict[str, Any]]) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two whole numbers."""
        return a + b

    with pytest.raises(RecordingError, match=r"(?s)-- description: Add two numbers\..*\+- description: Add two whole"):
        planner(RecordedModel(recorded[0]), tools=[add]).invoke({"messages": "A poem about 2 + 3"})


def test_exchanges_that_nobody_asked_for_are_told(recorded: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(RecordingError, match="5 of 5 exchanges were not used, first:\n- user: A poem about"):
        RecordedModel(recorded[0]).assert_all_used()


def ask(file: Path, *prompts: str, script: Any = None) -> list[str]:
    """Record with a scripted model in the place of a real one if there is a script, else replay."""
    with RecordedModel(file, None if script is None else ScriptedModel(script)) as model:
        return [model.invoke(prompt).text for prompt in prompts]


def test_prompts_come_in_any_order_and_the_same_one_gets_its_replies_in_order(tmp_path: Path) -> None:
    file = tmp_path / "order.yaml"
    ask(file, "a", "b", "a", script=["first a", "b", "second a"])
    assert ask(file, "a", "a", "b") == ["first a", "second a", "b"]
    with pytest.raises(RecordingError, match="holds this prompt 2 times, and it was asked once more"):
        ask(file, "a", "a", "a")


def test_what_differs_from_run_to_run_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "volatile.yaml"

    def messages(day: str, uuid: str, time: str) -> list[Any]:
        call = {"name": "add", "args": {"a": 1}, "id": uuid}
        said = HumanMessage(f"Today is\n{day}, it is {time}. The run is {uuid}.", id=uuid)
        return [said, AIMessage("", tool_calls=[call], id=uuid), ToolMessage("1", tool_call_id=uuid)]

    one = messages("2026-01-31", "01a20414-ffb3-7505-96ea-b465e00df755", "10:11:12")
    other = messages("2027-02-01T10:00:00Z", "b8a20414-ffb3-7505-96ea-b465e00df755", "10:11:13.5")
    RecordedModel(file, ScriptedModel("ok")).invoke(one)
    assert RecordedModel(file).invoke(other).text == "ok"
    with pytest.raises(RecordingError):
        RecordedModel(file, volatile=()).invoke(other)


@each(
    "text",
    [
        *("", " ", "\n", "two\nlines", "ends\n", "\n\nbegins", "  indented\n  text", "trailing \n space"),
        *("tab\tand\r\nCR", "yes", "1", "null", "# no comment", "- no: list", "'\"", "Grüße 🎭 日本", "---\n..."),
        *("\x07\x85\u2028\ufeff", "{x}", '{"a": [1, 2.0, null], "ü": "x\\ny"}', '{"a":1}', '{ "a" : 1 }'),
        *('{"a": 1, "a": 2}', "[1]", "3"),
    ],
)
def test_texts_are_replayed_as_they_were(tmp_path: Path, text: str) -> None:
    file = tmp_path / "texts.yaml"
    file.unlink(missing_ok=True)
    first = ask(file, "Say " + text, script=[Reply(text)])
    assert ask(file, "Say " + text) == first == [text]


@pytest.mark.parametrize(
    "reply",
    [
        Reply("cut", finish_reason="length", usage=(7, 3)),
        Reply(refusal="No."),
        Reply("Both", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}}]),
        Reply(tool_calls=[{"name": "add", "args": "{broken"}]),
    ],
)
def test_a_reply_keeps_all_that_matters(call: Any, tmp_path: Path, reply: Reply) -> None:
    def parts(message: AIMessage) -> Any:
        calls = [(item["name"], item["args"]) for item in [*message.tool_calls, *message.invalid_tool_calls]]
        about = message.response_metadata["finish_reason"], message.additional_kwargs.get("refusal")
        return message.text, calls, about, message.usage_metadata

    file = tmp_path / "reply.yaml"
    first = call(RecordedModel(file, ScriptedModel(reply)).bind_tools([add]), "x")
    again = call(RecordedModel(file).bind_tools([add]), "x")
    assert parts(again) == parts(first)
    assert parts(ScriptedModel(reply).bind_tools([add]).invoke("x")) == parts(first)


class Answer(BaseModel):
    answer: int


def test_structured_replies_and_streams_are_replayed(tmp_path: Path) -> None:
    file = tmp_path / "forms.yaml"
    with FaultyProvider(['{"answer": 42}', "a b c"]) as endpoint:
        model = RecordedModel(file, real(endpoint))
        first = model.with_structured_output(Answer).invoke("6 * 7"), [item.text for item in model.stream("letters")]
    assert endpoint.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["answer"]
    with RecordedModel(file) as model:
        again = model.with_structured_output(Answer).invoke("6 * 7"), [item.text for item in model.stream("letters")]
    assert again == first
    assert first[0] == Answer(answer=42)
    assert [text for text in first[1] if text] == ["a", " b", " c"]


NO_FORMS = Fault(400, body={"error": {"message": f"response_format is not supported, {KEY}"}})
LIMITED = Fault(429, {"Retry-After": "0"}, {"error": {"message": "Slow down"}})


def test_what_an_endpoint_cannot_do_is_recorded(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    with FaultyProvider([NO_FORMS, '{"answer": 42}']) as endpoint, RecordedModel(file, real(endpoint)) as model:
        first = call(Decision(Answer, model=model), [HumanMessage("6 * 7")])
    with RecordedModel(file) as model:
        again = call(Decision(Answer, model=model), [HumanMessage("6 * 7")])
    assert again == first
    assert first["value"] == {"answer": 42}
    assert "    status_code: 400\n" in file.read_text()
    assert KEY not in file.read_text()


def test_faults_that_pass_are_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    with FaultyProvider([LIMITED, "rain"]) as endpoint, RecordedModel(file, real(endpoint)) as model:
        poet = Agent("poet", instructions="You write.", model=model)
        assert poet.invoke("Write")["text"] == "rain"
    with RecordedModel(file) as model:
        assert Agent("poet", instructions="You write.", model=model).invoke("Write")["text"] == "rain"


def test_a_refused_key_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "key.yaml"
    refused = Fault(401, body={"error": {"message": f"Incorrect API key: {KEY}"}})
    with FaultyProvider([refused]) as endpoint, pytest.raises(Exception, match="401"):
        RecordedModel(file, real(endpoint)).invoke("x")
    assert not file.exists()


@pytest.mark.parametrize("later", [None, KeyError("what came of it")])
def test_a_missed_prompt_is_told_though_its_error_was_caught(tmp_path: Path, later: Exception | None) -> None:
    file = tmp_path / "missed.yaml"
    ask(file, "one", script=["1"])

    def miss() -> None:
        with RecordedModel(file) as model:
            with suppress(RecordingError):
                model.invoke("two")
            if later:
                raise later

    with pytest.raises(RecordingError, match=r"-- user: one\n\+- user: two"):
        miss()


def no_model() -> Any:
    raise AssertionError("replaying needs no model")


def test_the_environment_has_it_record_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new.yaml"
    assert ask(file, "x", script=["old"]) == ["old"]
    assert RecordedModel(file, no_model).invoke("x").text == "old"
    assert ask(file, "x", script=["new"]) == ["old"]
    monkeypatch.setenv("PODIUM_RECORD", "1")
    assert ask(file, "x", script=["new"]) == ["new"]
    assert RecordedModel(file).invoke("x").text == "new"
    assert RecordedModel(file, no_model, record=False).invoke("x").text == "new"


def test_calls_at_once_are_all_recorded(tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    prompts = [f"prompt {number}" for number in range(40)]
    for script in (lambda messages: messages[-1].text[::-1], None):
        with RecordedModel(file, script and ScriptedModel(script)) as model, ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda prompt, model=model: copy.deepcopy(model).invoke(prompt).text, prompts))
        assert replies == [prompt[::-1] for prompt in prompts]


def test_a_recording_needs_a_file_or_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"A model to record to .*none\.yaml"):
        RecordedModel(tmp_path / "none.yaml")


def test_the_page_shows_the_file_that_its_example_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = page("docs/testing.md").blocks
    example = next(block.text for block in blocks if "RecordedModel(" in block.text)
    exec(compile(example, "docs/testing.md", "exec"), {"__name__": "example"})
    shown = next(block.text for block in blocks if block.language == "yaml")
    assert (tmp_path / "recordings" / "haiku.yaml").read_text() == shown


@each("text", ["exchanges: " + "[" * 1000, "- a list", "exchanges: [{}]", "exchanges: [{prompt: 3}]", "{"])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"other\.yaml holds no recorded conversation"):
        RecordedModel(tmp_path / "other.yaml")
