"""Triage: which agent gets a request that one can answer alone."""

from pathlib import Path

from agents import Agent
from agents.testing import ScriptedModel
from agents.tools import file_tools
from graphs import Orchestrator

SMALL = {"small": True, "agent": "writer"}


def test_a_request_that_names_a_file_goes_to_an_agent_that_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("It rained.")
    for what, agent in (("notes.txt", "clerk"), ("the day", "writer")):
        model = ScriptedModel([SMALL, "It rained."])
        people = [Agent("writer", model=model), Agent("clerk", model=model, tools=file_tools(tmp_path))]
        result = Orchestrator(people, model=model).compile().invoke({"messages": f"Sum up {what}."})
        assert result["triage"]["agent"] == agent


def test_an_agent_of_another_kind_keeps_a_request_that_names_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("It rained.")
    model = ScriptedModel([SMALL])
    people = [Agent("writer", function=lambda task: "Wet."), Agent("clerk", model=model, tools=file_tools(tmp_path))]
    result = Orchestrator(people, model=model).compile().invoke({"messages": "Sum up notes.txt."})
    assert result["messages"][-1].text == "Wet."
