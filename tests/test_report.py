"""The report: all of a run on one page that needs nothing else, whatever its texts are."""

import json
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import justhtml
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from graphs.cli.exit_codes import BAD_USAGE, COMPLETED
from graphs.cli.output import plain
from graphs.show.markup import html_of, is_page
from graphs.show.report import page
from graphs.show.run_summary import RunSummary
from graphs.show.svg import timeline
from tests.finished import PATTERNS, asking, finished, large, timed
from tests.office import Office, clean, latest
from tests.processes import Processes
from tests.tables import each

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
        return [marked(item, mark, kept=kept) for item in value]
    if isinstance(value, dict):
        names = value.keys() - kept
        renamed = names and all(isinstance(item, dict) for item in value.values())
        return {
            mark(key) if renamed else key: item if key in kept else marked(item, mark, kept=kept)
            for key, item in value.items()
        }
    return value


def results() -> list[Any]:
    """Return all kinds of results as plain JSON."""
    return [plain(result) for result in [*map(finished, PATTERNS), asking(), large(60)]]


KEPT = ("status", "role", "type", "node", "started", "ended")
"""Without these nothing but the frame of the page would be drawn."""


def test_no_text_of_a_run_makes_an_element_or_an_attribute() -> None:
    hostile = "".join(HOSTILE)
    harmless = re.sub(r"[^/\s]", "x", hostile)  # a stroke in an agent's name says that it is inside another
    for result in results():
        expected = Parsed(page(marked(result, lambda text: f"{text}{harmless}{text}", kept=KEPT)))
        found = Parsed(page(marked(result, lambda text: f"{text}{hostile}{text}", kept=KEPT)))
        assert found.tags == expected.tags
        assert [value for name, value in found.values if name in ("href", "src", "style")] == []
        assert harmless[:20] in expected.text


def test_a_text_is_shown_as_it_stands() -> None:
    hostile = "".join(HOSTILE[:-1])
    parsed = Parsed(page({"messages": [HumanMessage(f"a\n  {hostile}")]}))
    assert f"a\n  {hostile}" in parsed.text


def test_markdown_has_no_raw_html_no_images_and_only_web_links() -> None:
    text = "**bold** <b onclick=x>raw</b> ![p](http://evil/x.png) [a](javascript:alert(1)) [b](https://b.example)"
    tags = Parsed(html_of(f"{text}\n\n| a | b |\n|---|---|\n| 1 | 2 |")).tags
    assert {name for name, _ in tags} == {"p", "strong", "a", "table", "thead", "tbody", "tr", "th", "td"}
    assert [attributes for name, attributes in tags if name == "a"] == [("href",), ("href",)]
    assert "javascript" not in str([value for _, value in Parsed(html_of(text)).values])
    assert Parsed(html_of("x" * 200_000 + "<b>")).tags == [("pre", ())]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_is_loaded_from_elsewhere(pattern: str) -> None:
    written = page(finished(pattern)).replace('xmlns="http://www.w3.org/2000/svg"', "")
    for outside in ("http:", "https:", "@import", "srcset", "<link", "<script", "<img", "<base", "<iframe"):
        assert outside not in written
    parsed = Parsed(written)
    names = [value for name, value in parsed.values if name == "id"]
    assert len(names) == len(set(names))
    assert set(re.findall(r"url\(#([^)]*)\)", written)) <= set(names)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parsed.values


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("planner", ["10:00 bus", "2 attempts", "✗ failed", "no trains", "Find a bus", "3 of 4"]),
        ("workflow", ["◐ partial", "out of paper", "1 of 3", "- skipped"]),
        ("router", ["it is about money", "90%", "Your flight is on time."]),
        ("supervisor", ["↩ sent back", "polite", "✗", "Greet properly.", "review 2", "Dear Ms Lee", "writer"]),
        ("network", ["desk", "billing", "Refund order 7", "it is about money"]),
        ("orchestrator", ["it needs several agents", "clock", "on the critical path"]),
    ],
)
def test_records_are_shown(pattern: str, expected: list[str]) -> None:
    text = Parsed(page(finished(pattern))).text
    assert [words for words in expected if words not in text] == []


def test_the_timeline_is_to_scale_with_the_critical_path() -> None:
    drawn = timeline(RunSummary.of(timed(("a", 0, 2, []), ("b", 0, 4, []), ("c", 9, 10, ["b"]))), 1000)
    bars = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" [^>]*class="([^"]*)"', drawn)
    assert sorted(bars) == sorted(
        [("0.0", "200.0", "done bar"), ("0.0", "400.0", "done solid"), ("900.0", "100.0", "done solid")]
    )


def test_a_run_that_waits_for_a_person_shows_its_question() -> None:
    text = Parsed(page(asking())).text
    assert "? needs input" in text
    assert "Waits for" in text
    assert "weather (forecaster): Look up the weather" in text


@each(
    ("result", "expected"),
    [
        ({}, "A run without a request"),
        ({"status": "failed", "stop_reason": "no model"}, "✗ failed"),
        ({"messages": None, "steps": None, "usage": None, "errors": None, "reviews": [None, {}]}, "unfinished"),
        ({"messages": [{"type": "human", "content": [{"type": "text", "text": "blocks"}]}]}, "blocks"),
        (timed(("cut", 0, 3, []), status="running"), "■ stopped"),
        (timed(("a", 0, 1, ["b"]), ("b", 1, 2, ["a"])), "2 of 2"),
        ({"thread_id": "k3", "pattern": "planner", "started": "2026-11-22T15:50:00+00:00"}, "run k3"),
        ({"questions": [{"id": "1", "value": {"question": "Really?", "choices": ["a"]}}]}, "Really?"),
    ],
)
def test_unfinished_and_odd_states_have_a_page(result: dict[str, Any], expected: str) -> None:
    assert expected in Parsed(page(result)).text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_state_that_came_through_json_gives_the_same_page(pattern: str) -> None:
    result = finished(pattern)
    assert page(json.loads(json.dumps(plain(result)))) == page(result)


def test_the_conversation_before_is_kept_apart() -> None:
    texts = [HumanMessage("first"), AIMessage("one"), HumanMessage("second"), AIMessage("draft"), AIMessage("two")]
    text = Parsed(page({"messages": texts})).text
    assert "2 earlier messages of this conversation" in text
    assert re.search(r"Answer\s*two", text)


def test_a_thousand_steps_are_drawn_soon_and_in_few_boxes() -> None:
    result = large(1000)
    began = time.process_time()
    written = page(result)
    assert time.process_time() - began < 30
    assert written.count("<rect") <= 2 * (60 + 40)
    assert Parsed(written).text.count("Do s999") == 1


def test_the_command_writes_a_page_and_spares_other_files(processes: Processes, tmp_path: Path) -> None:
    with Office() as office:
        clean(processes.podium("Do it\nwell", "--pattern", "planner", **office.environment))
    run = latest(processes)
    shown = clean(processes.podium("show", run)).out
    assert re.search(r"Timeline: \d.*\nplan +planner +█", shown)
    done = clean(processes.podium("show", run, "--html"))
    written = tmp_path / f"{run}.html"
    assert (done.code, done.out) == (COMPLETED, f"written to {written}\n")
    report = written.read_text(encoding="utf-8")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    for told in (f"run {run}", "Podium · planner", "The <em>final</em> answer", "Text two", "✓ completed"):
        assert told in report
    assert is_page(report)
    assert processes.podium("show", run, "--html").code == COMPLETED
    other = tmp_path / "mine.html"
    other.write_text("mine")
    refused = processes.podium("show", run, "--html", "mine.html")
    assert (refused.code, other.read_text()) == (BAD_USAGE, "mine")
    assert "name another" in refused.told
    assert clean(processes.podium("show", run, "--html", "-")).out == report
    assert processes.podium("show", run, "--html", "--json").code == BAD_USAGE
