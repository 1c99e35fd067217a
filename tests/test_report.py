"""The HTML report: all of a run on one page that needs nothing else, whatever its texts are."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import justhtml
import pytest
from langchain_core.messages import messages_to_dict

from graphs.cli.outcome import plain_json
from graphs.cli.run import BAD_USAGE, COMPLETED
from graphs.show.html_page import is_report
from graphs.show.html_tags import tag
from graphs.show.report import html
from tests.finished import PATTERNS, asking, finished, large, timed
from tests.office import Office, clean, latest
from tests.processes import Processes

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"onmouseover="alert(1)',
    "'onmouseover='alert(1)",
    "]]><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "https://evil.example/?q=<b>",
    "</title></p></td></svg><iframe>",
    "<!--",
    "&lt;script&gt;&amp;&#60;",
    "\x00\x1b[2J\ud800\u202e",
)


class Parsed:
    """What a browser's parser makes of a page."""

    def __init__(self, page: str) -> None:
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[tuple[str, str]] = []
        pieces: list[str] = []
        inside = ""
        for event in justhtml.stream(page):
            match event:
                case ("start", (str(tag), dict(attributes))):
                    inside = tag
                    self.tags.append((tag, tuple(attributes)))
                    self.values += [(name, value or "") for name, value in attributes.items()]
                case ("end", str()):
                    inside = ""
                case ("text", str(words)):
                    pieces.append("" if inside == "style" else words)
        self.text = "".join(pieces)


def marked(value: Any, mark: Callable[[str], str], *, kept: tuple[str, ...] = ()) -> Any:
    """Change every text of a state, the keys of steps and agents too, but not those under the `kept` keys."""
    if isinstance(value, str):
        return mark(value)
    if isinstance(value, list):
        return [marked(one, mark, kept=kept) for one in value]
    if isinstance(value, dict):
        names = value.keys() - kept
        renamed = names and all(isinstance(one, dict) for one in value.values())
        return {
            mark(key) if renamed else key: one if key in kept else marked(one, mark, kept=kept)
            for key, one in value.items()
        }
    return value


def results() -> list[Any]:
    """Return all kinds of results as plain JSON."""
    return [plain_json(one) for one in [*map(finished, PATTERNS), asking(), large(60)]]


KEPT = ("status", "role", "type", "node", "started", "ended")
"""Without these nothing but the frame of the page would be drawn."""


@pytest.mark.parametrize("kept", [KEPT, ("role",)], ids=["kept", "overwritten"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_of_a_run_makes_an_element_or_an_attribute(hostile: str, kept: tuple[str, ...]) -> None:
    harmless = re.sub(r"[^/\s]", "x", hostile)  # a stroke in an agent's name says that it is inside another
    for result in results():
        expected = Parsed(html(marked(result, lambda text: f"{text}{harmless}{text}", kept=kept)))
        found = Parsed(html(marked(result, lambda text: f"{text}{hostile}{text}", kept=kept)))
        assert found.tags == expected.tags
        assert [one for one in found.values if one not in expected.values] == []
        assert harmless in expected.text


@pytest.mark.parametrize("hostile", HOSTILE[:-1])
def test_a_value_of_an_attribute_stays_in_it(hostile: str) -> None:
    assert Parsed(tag("p", hostile, title=hostile)).values == [("title", hostile)]


@pytest.mark.parametrize("hostile", HOSTILE[:-1])
def test_a_text_is_shown_as_it_stands(hostile: str) -> None:
    page = html({"messages": [("user", "hello"), ("ai", f"a\n  {hostile}")]}, title=hostile)
    assert Parsed(page).text.count(hostile) == 3  # title, heading and answer
    assert f"a\n  {hostile}" in Parsed(page).text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_leads_out_of_the_page(pattern: str) -> None:
    page = html(finished(pattern))
    for outside in ("http:", "https:", "//", "url(", "@import", "xmlns", "srcset", "<link", "<script", "<img", "<base"):
        assert outside not in page
    parsed = Parsed(page)
    names = {value for name, value in parsed.values if name == "id"}
    links = [value for name, value in parsed.values if name in ("href", "src", "action")]
    assert links
    assert {one.removeprefix("#") for one in links} <= names
    assert len(names) == sum(name == "id" for name, _ in parsed.values)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parsed.values


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("planner", ["Saturday:\n  10:00 bus", "↻ 2 attempts", "✗ failed", "no trains", "Find a bus"]),
        ("workflow", ["◐ partial", "out of paper", "1 of 3", "1 never began."]),
        ("router", ["it is about money", "90%", "asked, number 2", "Your flight is on time."]),
        ("supervisor", ["↩ sent back", "polite", "✗ not met", "Greet properly.", "review 2", "Dear Ms Lee"]),
        ("network", ["desk → billing", "Refund order 7", "it is about money", "1. desk", "2. billing"]),
        ("orchestrator", ["large: to a plan", "two parts", "clock/reviewer", "on the critical path"]),
    ],
)  # fmt: skip
def test_what_is_recorded_is_told(pattern: str, told: list[str]) -> None:
    text = Parsed(html(finished(pattern))).text
    assert pattern in text
    for one in told:
        assert one in text


def test_the_timeline_is_to_scale_with_gaps_waits_and_the_critical_path() -> None:
    page = html(timed(("a", 0, 2, []), ("b", 0, 4, []), ("c", 3, 4, ["a"]), ("d", 9, 10, ["b", "c"])))
    assert 'class="completed" style="left:0.00%;width:20.00%"' in page
    assert 'class="wait" style="left:20.00%;width:10.00%"' in page
    assert 'class="gap" style="left:40.00%;width:50.00%"' in page
    assert 'class="completed critical" style="left:90.00%;width:10.00%"' in page
    assert "waited 1.0 s" in page
    assert "nothing at work" in page


def test_a_run_that_waits_for_a_person_shows_its_question() -> None:
    text = Parsed(html(asking())).text
    assert "needs input" in text
    assert "Waits for" in text
    assert "weather (forecaster): Look up the weather" in text


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({}, "A run without a request"),
        ({"status": "failed", "stop_reason": "no model"}, "✗ failed"),
        ({"messages": None, "steps": None, "usage": None, "errors": None, "reviews": [None, {}]}, "review 1"),
        ({"messages": [{"type": "human", "content": [{"type": "text", "text": "blocks"}]}]}, "blocks"),
        (timed(("cut", 0, 3, []), status="running"), "■ stopped"),
        (timed(("a", 0, 1, ["b"]), ("b", 1, 2, ["a"])), "2 of 2"),
        ({"route": {"chosen": [], "candidates": []}, "status": "needs_input"}, "clarify"),
    ],
)
def test_unfinished_and_odd_states_have_a_page(result: dict[str, Any], told: str) -> None:
    assert told in Parsed(html(result)).text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_state_that_came_through_json_gives_the_same_page(pattern: str) -> None:
    result = finished(pattern)
    for messages in (plain_json(result["messages"]), messages_to_dict(result["messages"])):
        again = json.loads(json.dumps({**plain_json(result), "messages": messages}))
        assert html(again) == html(result)


def test_the_conversation_before_is_kept_apart() -> None:
    said = [("user", "first"), ("ai", "one"), ("user", "second"), ("ai", "draft"), ("ai", "two")]
    text = Parsed(html({"messages": said})).text
    assert "2 earlier messages of this conversation" in text
    assert re.search(r"Answer\s*two", text)


def test_a_thousand_steps_are_drawn_soon_and_in_few_lines() -> None:
    result = large(1000)
    began = time.process_time()
    page = html(result)
    assert time.process_time() - began < 2
    assert page.count("<rect") < 100
    assert page.count("<svg") == 2
    assert "940 more steps are listed under Steps." in page
    assert Parsed(page).text.count("Do s999") == 1


def test_the_command_writes_a_page_and_spares_other_files(processes: Processes, tmp_path: Path) -> None:
    with Office() as office:
        clean(processes.podium("Do it\nwell", "--pattern", "planner", **office.environment))
    run = latest(processes)
    shown = clean(processes.podium("show", run)).out
    assert re.search(r"Timeline: \d.*\nplan +planner +█", shown)
    done = clean(processes.podium("show", run, "--html"))
    written = tmp_path / f"{run}.html"
    assert (done.code, done.out) == (COMPLETED, f"written to {written}\n")
    page = written.read_text(encoding="utf-8")
    for told in (f"run {run}", "Podium · planner", "The *final* answer", "Text two", "✓ completed"):
        assert told in page
    assert is_report(page)
    assert processes.podium("show", run, "--html").code == COMPLETED
    other = tmp_path / "mine.html"
    other.write_text("mine")
    refused = processes.podium("show", run, "--html", "mine.html")
    assert (refused.code, other.read_text()) == (BAD_USAGE, "mine")
    assert "name another file" in refused.told
    assert clean(processes.podium("show", run, "--html", "-")).out == page
    assert processes.podium("show", run, "--html", "--json").code == BAD_USAGE
