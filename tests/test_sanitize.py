"""Texts and data that others wrote: nothing that cannot be stored, no keys."""

import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

import agents
import graphs
from agents import Agent, AgentError
from agents.decisions import Decision
from agents.models import without_thinking
from agents.runtime import clean, clean_data, explain, masked, visible
from agents.runtime.sanitize import FOREIGN_TEXT_READERS, MAX_ERROR
from agents.testing import ScriptedModel
from agents.usage import no_usage
from graphs import Network, Planner, Supervisor
from graphs.storage.serializer import strict
from tests.tables import each

ROOT = Path(__file__).parent.parent


@each(
    ("text", "cleaned"),
    [
        ("fine\tä😀\n", "fine\tä😀\n"),
        ("\x00PNG\x00", "\ufffdPNG\ufffd"),
        ("half \ud83d of a smile", "half \ufffd of a smile"),
        ("\ud83d\ude00 in two pieces", "😀 in two pieces"),
    ],
)
def test_what_cannot_be_stored_is_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_all_texts_of_data_are_cleaned() -> None:
    data = {"a\x00": ["\x00", {"b": "\ud800"}], "n": 1, "none": None, "yes": True}
    assert clean_data(data) == {"a\ufffd": ["\ufffd", {"b": "\ufffd"}], "n": 1, "none": None, "yes": True}


@each(
    ("text", "shown"),
    [
        ("GET https://api.x.com/v1?key=abcd1234&n=1 failed", "GET https://api.x.com/v1?***&n=1 failed"),
        ("https://user:pa55@host/x", "https://***@host/x"),
        ("https://ghp@github.com/x", "https://***@github.com/x"),
        ("redis://:pa@55@h:6379/0", "redis://***@h:6379/0"),
        ("postgresql://u:hunt/er2@h:5432/db is down", "postgresql://***@h:5432/db is down"),
        ("AccountName=a;AccountKey=a/b+c==;EndpointSuffix=net", "AccountName=a;***;EndpointSuffix=net"),
        ("Server=h;User Id=u;Password=p w;Encrypt=yes", "Server=h;User Id=u;*** w;Encrypt=yes"),
        ("Authorization: Basic dXNl was sent", "*** was sent"),
        ("{'Authorization': 'Basic dXNl'}", "{'***"),
        ("authorization: Bearer abc", "***"),
        ("sent Basic dXNlcjpwYXNz", "sent ***"),
        ("key AKIAIOSFODNN7EXAMPLE is old", "*** is old"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY is old", "key *** is old"),
        ("xoxb-123456789012-abcdefghijkl", "***"),
        ("aws_secret_access_key=wJalr/K7MD", "aws_***"),
        ('{"api_key": "ab cd", "n": 1}', '{"***, "n": 1}'),
        (r"{\"api_key\": \"abcd\", \"n\": 1}", r"{\"***, \"n\": 1}"),
        ("password: hunter2", "***"),
        ("sk-proj-12_34.56", "***"),
        ("sk_live_abcdefgh", "***"),
        ("ghp_abcdefgh hf_abcdefgh AIzaSyabc", "*** *** ***"),
        ("token eyJhbGciOi.J9 expired", "token *** expired"),
        ("-----BEGIN RSA PRIVATE KEY----- MIIE", "***"),
        ("deployment 0123456789abcdef0123456789abcdef", "deployment ***"),
        ("Incorrect API key provided: a1-b2. Try another", "Incorrect *** Try another"),
        ("[(b'x-api-key', b'a1-b2'), (b'n', b'1')]", "[(b'x-***), (b'n', b'1')]"),
        ("0123456789abcdef0123456789abcdef.Ab0Cd1Ef2 fw_abcdefgh SCWABCDEF0123456", "*** *** ***"),
        ("invalid key '22ea20af-d3ad-7a6c-2107-257fc9be769a'", "invalid ***"),
        ("The token ak-L6TUuaX1a32ntLODt6VKyo has expired", "The *** has expired"),
        ("[(b'Authorization', b'22ea20af-d3ad-7a6c-2107-257fc9be769a')]", "[(b'***)]"),
        ("GET /v1?subscription-key=22ea20af-d3ad-7a6c-2107-257fc9be769a&q=1", "GET /v1?subscription-***&q=1"),
        ("Cookie: session=abc; theme=dark", "***"),
        ("POST https://hooks.slack.com/services/T0/B0/xyz", "POST https://hooks.slack.com/services/***"),
        ("Run 22ea20af-d3ad-7a6c-2107-257fc9be769a has no thread 0d9e3b57-65ab-4d3c-9df9-1bdf3f1f8e2a",) * 2,
        ("Unknown key 'claude-sonnet-4-20250514'; tokens: 128000, 5; the key gpt-4o-mini-2024-07-18",) * 2,
        ("Unknown token, 'x' expected",) * 2,
        ("https://example.org/a@b, http://localhost:8000/v1 and a@b.org: 5 of 9 tokens; max_tokens=5",) * 2,
        ("tool_use_failed_in_step_number_2 of claude-sonnet-4-20250514 in agents/runtime/provider_errors.py",) * 2,
        ("KeyError: the key: name is missing; a basic understanding of tokens",) * 2,
    ],
)
def test_keys_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@each(
    ("text", "shown"),
    [
        ("Known are: " + "google_vertexai, " * 30, "Known are: " + "google_vertexai, " * 15 + "google_vertexai …"),
        ("x" * 400, "x" * 298 + " …"),
        ("See " + "xy" * 200, "See " + "xy" * 147 + " …"),
        ("word " * 60, "word " * 59 + "word"),
    ],
)
def test_long_words_of_an_error_are_cut_between_words(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert len(shown) <= MAX_ERROR
    assert explain(RuntimeError(text)) == f"RuntimeError: {shown}"


def test_what_a_terminal_hides_or_obeys_is_made_visible() -> None:
    assert visible("a\x1b[2Jb\r\nc\td\x9b\u202eevil\u2066\ufeff\U000e0041") == (
        r"a\x1b[2Jb" + "\n" + r"c" + "\t" + r"d\x9b\u202eevil\u2066\ufeff\U000e0041"
    )
    assert visible("\u3164\uffa0\u034f\ufe00\U000e0100") == r"\u3164\uffa0\u034f\ufe00\U000e0100"
    assert visible("❤\ufe0f 漢字") == "❤\ufe0f 漢字"
    assert visible("naïve 👩\u200d🔬 שלום") == "naïve 👩\u200d🔬 שלום"


WORST = [*'a \n`{[<\\"=&*|é', "a_", '{"a":', "<a", "<!--", "9,", "a.", "a@", "://a:", "secret-", "eyJ", "basic ", "a/"]
WORST += ['\\"', '"""', "!["]
WORST += ["-----BEGIN ", "response keys: ", "\x00", "\ud800", "<think>", "```json\n", "- ", "\x1b[", "\u202e"]

for package in (agents, graphs):
    for file in sorted(Path(package.__path__[0]).rglob("*.py")):
        if "@reads_foreign_text(" in file.read_text(encoding="utf-8"):  # registered when it is imported
            import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def seconds(read: Any, text: str) -> float:
    """Return the processor time of one reading, whatever comes of it."""
    began = time.thread_time()
    with suppress(Exception):
        read(text)
    return time.thread_time() - began


def grows_as_the_text(read: Any, quarter: str, whole: str) -> bool:
    """Compare the fastest readings: a whole takes four times as long as its quarter, sixteen times if quadratic."""
    fastest = [float("inf"), float("inf")]
    for _ in range(5):
        fastest = [min(best, seconds(read, text)) for best, text in zip(fastest, (quarter, whole), strict=True)]
        if fastest[1] <= 7 * fastest[0]:
            return True
    return False


@pytest.mark.parametrize("name", sorted(FOREIGN_TEXT_READERS))
def test_the_time_to_read_a_text_grows_as_the_text_does(name: str) -> None:
    read = FOREIGN_TEXT_READERS[name]
    for characters in WORST:
        quarter, whole = ((characters * length)[:length] for length in (2**10, 2**12))
        if seconds(read, whole) > 0.02:
            assert grows_as_the_text(read, quarter, whole), f"{characters!a}"


def test_the_time_to_read_thinking_in_one_line_grows_as_the_line_does() -> None:
    assert grows_as_the_text(without_thinking, "a<think>" * 2**12, "a<think>" * 2**14)


def test_errors_hold_only_what_can_be_stored() -> None:
    assert explain(RuntimeError("cannot read \x00PNG")) == "RuntimeError: cannot read \ufffdPNG"


def nested(levels: int) -> Any:
    data: Any = 1
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"rows": [{"id": 2**64}]}, r"an integer beyond 64 bits at \['rows'\]\[0\]\['id'\]"),
        (-(2**63) - 1, "an integer beyond 64 bits at the top"),
        (nested(250), "more than 200 levels"),
    ],
    ids=["integer", "negative", "nested"],
)
def test_what_cannot_be_stored_is_no_answer(call: Any, result: Any, said: str) -> None:
    with pytest.raises(AgentError, match=f"'a' returned (dict|int|list), which cannot be stored as JSON: {said}"):
        call(Agent("a", function=lambda task: result), "x")


@pytest.mark.parametrize("result", [2**64 - 1, -(2**63), nested(200)], ids=["integer", "negative", "nested"])
def test_what_is_just_small_enough_is_kept(result: Any) -> None:
    data = Agent("a", function=lambda task: result).invoke("x")["data"]
    kept = {"plan": {"step": {"data": [[[data]]]}}}
    assert strict().loads_typed(strict().dumps_typed(kept)) == kept


@pytest.mark.parametrize(
    "worker",
    [
        {"function": lambda task: "a\x00b"},
        {"function": lambda task: {"a\ud800b": ["\ud800"]}},
        {"model": ScriptedModel("a\x00b")},
        {"runnable": ScriptedModel("a\x00b")},
    ],
    ids=["text", "data", "model", "runnable"],
)
def test_what_databases_refuse_is_replaced_in_answers(call: Any, worker: Any) -> None:
    answer = call(Agent("a", **worker), "x")
    expected = {"a\ufffdb": ["\ufffd"]} if answer["data"] else None
    assert (answer["data"], "a\ufffdb" in answer["text"]) == (expected, True)


def test_what_databases_refuse_is_replaced_in_the_answer_of_a_pattern() -> None:
    told = {"status": "partial", "stop_reason": "\x00", "usage": no_usage()}
    errors = [{"where": "a", "kind": "ValueError", "message": "b\x00d"}]
    given = {**told, "messages": [AIMessage("\x00")], "errors": errors}
    answer = Agent("a", runnable=RunnableLambda(lambda _: given)).invoke("x")
    assert [answer["text"], *(error["message"] for error in answer["errors"])] == ["\ufffd", "b\ufffdd", "\ufffd"]


@pytest.mark.parametrize("pattern", [Network, Planner], ids=["network", "planner"])
def test_half_a_character_in_a_request_does_not_stop_a_run(pattern: Any) -> None:
    agent = Agent("ann", instructions="Answer.", model=(model := ScriptedModel("Fine.", repeat=True)))
    graph = (
        pattern([agent]) if pattern is Network else Planner([agent], model=ScriptedModel([{"steps": []}], repeat=True))
    )
    result = graph.compile().invoke({"messages": "half \ud83d of a smile"})
    assert (result["status"] in ("completed", "partial"), result["messages"][0].text) == (
        True,
        "half \ufffd of a smile",
    )
    assert "half \ufffd of a smile" in str(model.calls[-1].messages)


class Choice(BaseModel):
    why: str
    number: int


def test_a_decision_that_cannot_be_stored_is_returned_to_the_model(call: Any) -> None:
    model = ScriptedModel([{"why": "so", "number": 2**64}, {"why": "so\x00", "number": 2}])
    decided = call(Decision(Choice, model=model), [HumanMessage("Choose.")])
    assert decided["value"] == {"why": "so\ufffd", "number": 2}
    assert "an integer beyond 64 bits at ['number']" in decided["mistakes"][0]


def test_what_databases_refuse_is_replaced_in_verdicts() -> None:
    writer = Agent("writer", function=lambda task: "draft")
    graph = Supervisor(writer, checks=[lambda text: "not\x00good"], max_revisions=0).compile()
    state = graph.invoke({"messages": "Write"})
    assert r"\x00" not in str(state)
    assert state["reviews"][0]["feedback"] == "not\ufffdgood"
