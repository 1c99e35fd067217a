"""Over the wire, a model that needs no second try is called no more often than the pattern's work takes."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from agents import Agent
from graphs import Orchestrator, Planner, Router, Supervisor
from tests.office import PLAN, Office

CONVERGING = [*PLAN[:2], {**PLAN[2], "dependencies": ["two"]}]
Make = Callable[[list[Agent], ChatOpenAI], Any]

CALLS: dict[str, tuple[Make, int]] = {
    "baseline": (lambda team, model: Orchestrator(team, model=model, baseline=True), 1),
    "router": (lambda team, model: Router(team, model=model), 2),
    "supervisor": (lambda team, model: Supervisor(team[0], criteria=["Good.", "Brief."], model=model), 2),
    "planner": (lambda team, model: Planner(team, model=model), 5),
    "orchestrator": (lambda team, model: Orchestrator(team, model=model), 7),
}
"""By pattern, of a plan of three steps whose results are put together: the plan, the steps and the answer are five."""


@pytest.mark.parametrize("pattern", list(CALLS))
def test_calls_of_a_strong_model(call: Any, pattern: str) -> None:
    make, number = CALLS[pattern]
    with Office(route="writer") as office:
        assert (asked(call, office, make), len(office.asked)) == (number, number)


def test_a_last_step_that_all_lead_to_saves_the_call_for_the_answer(call: Any) -> None:
    with Office(plan=CONVERGING) as office:
        assert asked(call, office, CALLS["planner"][0]) == 4
    with Office(plan=CONVERGING) as office:
        assert asked(call, office, CALLS["orchestrator"][0]) == 6


def asked(call: Any, office: Office, make: Make) -> int:
    model = ChatOpenAI(model="test", base_url=office.base_url, api_key="none")
    team = [Agent(name, f"Is a {name}.", instructions="Work.", model=model) for name in ("writer", "critic")]
    state = call(make(team, model).compile(), {"messages": "Write of one, two and three."})
    assert state["status"] == "completed"
    calls: int = state["usage"]["calls"]
    return calls
