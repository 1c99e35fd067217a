"""The graphs that LangGraph Studio shows: built at once, without a key, a checkpointer or a connection."""

import asyncio
import importlib
import json
import os
import time
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph.state import CompiledStateGraph

from tests.tables import each

ROOT = Path(__file__).parents[1]
EXPORTED: dict[str, dict[str, str]] = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
MOST_SECONDS = 10.0
"""Of processor time, which does not depend on what else the machine does."""
SEEN_BY_STUDIO = {"supervisor": "review", "orchestrator": "triage", "router": "classify", "planner": "plan"}


def graph(name: str) -> Any:
    module, _, attribute = EXPORTED[name]["path"].partition(":")
    return getattr(importlib.import_module(module), attribute)


def test_all_six_patterns_are_exported() -> None:
    assert set(EXPORTED) == {"planner", "router", "workflow", "supervisor", "network", "orchestrator"}


@each("name", EXPORTED)
def test_an_exported_graph_exists_and_has_no_checkpointer(name: str) -> None:
    assert isinstance(graph(name), CompiledStateGraph)
    assert graph(name).checkpointer is None
    assert graph(name).name == name


@each("name", EXPORTED)
@each("xray", [False, True])
def test_an_exported_graph_can_be_drawn(name: str, xray: bool) -> None:
    drawn = graph(name).get_graph(xray=xray)
    assert {"__start__", "__end__"} < set(drawn.nodes)
    assert asyncio.run(graph(name).aget_graph(xray=xray)).draw_mermaid() == drawn.draw_mermaid()
    assert SEEN_BY_STUDIO.get(name, "__start__") in drawn.draw_mermaid()


@each("name", EXPORTED)
def test_studio_can_show_what_goes_in_and_what_can_be_set(name: str) -> None:
    assert "messages" in graph(name).get_input_jsonschema()["properties"]
    form = graph(name).get_context_jsonschema()["properties"]
    assert {"model", "approval", "max_calls"} < set(form)
    assert all(field["description"] and "default" in field for field in form.values())
    assert EXPORTED[name]["description"]


def test_exports_are_built_in_no_time_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if any(key in name for key in ("KEY", "OPENAI", "PODIUM", "ANTHROPIC")):
            monkeypatch.delenv(name)
    spec: Any = find_spec("graphs.server.exports")
    began = time.process_time()
    spec.loader.exec_module(module_from_spec(spec))
    assert time.process_time() - began < MOST_SECONDS
