"""The README is short and shows the way; that its examples and links are true is tested in test_docs.py."""

import pytest

import agents
import graphs
from tests.markdown import page

README = page("README.md")
PATTERNS = ("Planner", "Workflow", "Router", "Supervisor", "Network", "Orchestrator")
FIRST_SCREEN = 25
"""Lines that are seen before anybody scrolls, with the picture."""


def test_the_first_screen_says_what_it_is_and_shows_it_running() -> None:
    screen = "\n".join(README.text.splitlines()[:FIRST_SCREEN])
    assert all(words in screen for words in ("state machines", "make demo", "podium new", "terminal.svg"))


def test_it_stays_short() -> None:
    assert len(README.text.splitlines()) <= 160


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_leads_to_its_page(name: str) -> None:
    assert f"[`{name}`](docs/{name.lower()}.md)" in README.text


@pytest.mark.parametrize("package", [agents, graphs])
def test_all_public_names_exist(package: object) -> None:
    assert all(hasattr(package, name) for name in package.__all__)
