"""Runs that are resumed by changed code go on where that is safe, else say what has changed."""

from typing import Any, Literal

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from graphs.errors import ChangedCodeError
from tests.networks import hands
from tests.workflows import ASK, THREAD, statuses, step

Log = list[str]
GOOD = {"acceptable": True, "evidence": "seen", "feedback": ""}


def agent(name: str, log: Log, *, dies: bool = False) -> Agent:
    def work(task: str) -> str:
        log.append(f"{name}: {task}")
        if dies:
            raise KeyboardInterrupt
        return f"{task} by {name}"

    return Agent(name, f"Does {name}.", function=work)


def resumed(call: Any, before: Any, after: Any) -> Any:
    """Kill a run of one pattern, and go on with another one."""
    saver = InMemorySaver()
    with pytest.raises(KeyboardInterrupt):
        before.compile(saver).invoke(ASK, THREAD, durability="sync")
    return call(after.compile(saver), None, THREAD)


def workflow(log: Log, *steps: Step, dies: str = "") -> Workflow:
    names = {step.agent for step in steps}
    return Workflow(steps, agents=[agent(name, log, dies=name == dies) for name in names])


OLD = (step("a", agent="x"), step("b", "a", agent="old"))


def test_steps_may_get_another_agent_and_task_and_more_may_follow(call: Any) -> None:
    log: Log = []
    new = (step("0", agent="x"), OLD[0], Step("b", "new", "do it right", ["a"]), step("c", "0", "b", agent="x"))
    state = resumed(call, workflow(log, *OLD, dies="old"), workflow(log, *new))
    assert statuses(state) == "a:completed b:completed 0:completed c:completed"
    assert sorted(log) == ["new: do it right", "old: do b", "x: do 0", "x: do a", "x: do c"]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ([step("a", agent="x")], "it has step 'b', which this workflow does not have"),
        ([step("a", agent="x"), step("b", agent="x")], "step 'b' waited for a, now for nothing"),
    ],
)
def test_steps_that_are_gone_or_wait_for_others_are_one_clear_error(call: Any, new: Any, message: str) -> None:
    log: Log = []
    with pytest.raises(ChangedCodeError, match=message) as error:
        resumed(call, workflow(log, *OLD, dies="old"), workflow(log, *new))
    assert "agent 'old' is gone in 'execute'" in str(error.value)
    assert "Resume it with the code that began it" in str(error.value)
    assert log == ["x: do a", "old: do b"]


def planner(log: Log, *names: str, dies: str = "") -> Planner:
    plan = {"steps": [step("a", agent="x").as_dict(), step("b", "a", agent="old").as_dict()]}
    short = [{key: item[key] for key in ("id", "agent", "task", "dependencies")} for item in plan["steps"]]
    team = [agent(name, log, dies=name == dies) for name in names]
    return Planner(team, model=ScriptedModel([{"steps": short}, "The end."]))


def network(log: Log, *names: str, dies: str = "") -> Network:
    first = Agent("x", model=ScriptedModel([hands("old")]))
    return Network([first, *(agent(name, log, dies=name == dies) for name in names)])


def router(log: Log, *names: str, dies: str = "") -> Router:
    team = [agent(name, log, dies=name == dies) for name in ("x", *names)]
    return Router(team, classifier=lambda text: "old", model=False)


def orchestrator(log: Log, *names: str, dies: str = "") -> Orchestrator:
    team = [agent(name, log, dies=name == dies) for name in ("x", *names)]
    triage = {"reason": "small", "small": True, "agent": "old"}
    critic = Agent("critic", function=lambda task: GOOD)
    return Orchestrator(team, model=ScriptedModel([triage]), reviewer=critic)


def supervisor(log: Log, *names: str, dies: str = "") -> Supervisor:
    return Supervisor(router(log, *names, dies=dies), review=lambda task, work, context: GOOD)


def nested(log: Log, *names: str, dies: str = "") -> Workflow:
    return Workflow([step("in", agent="router")], agents=[router(log, *names, dies=dies).as_agent()])


def test_a_planned_step_needs_its_agent_only_while_it_is_unfinished(call: Any) -> None:
    log: Log = []
    state = resumed(call, planner(log, "x", "old", dies="old"), planner(log, "old", "new"))
    assert statuses(state) == "a:completed b:completed"
    with pytest.raises(ChangedCodeError, match="step 'b' needs agent 'old'; known: new, x"):
        resumed(call, planner(log, "x", "old", dies="old"), planner(log, "x", "new"))


@pytest.mark.parametrize("make", [network, router, supervisor, orchestrator, nested])
def test_every_pattern_notices_the_agent_that_is_gone(call: Any, make: Any) -> None:
    log: Log = []
    with pytest.raises(ChangedCodeError, match="'old'"):
        resumed(call, make(log, "old", dies="old"), make(log, "new"))
    log.clear()
    assert resumed(call, make(log, "old", dies="old"), make(log, "old", "new"))["status"] == "completed"
    assert len(log) == 2


def test_a_supervisor_goes_on_with_other_agents_and_repeats_no_work_under_review(call: Any) -> None:
    log: Log = []

    def reviewed(worker: str, reviewer: str, *, dies: bool = False) -> Supervisor:
        def judge(task: str) -> dict[str, object]:
            log.append(reviewer)
            if dies:
                raise KeyboardInterrupt
            return GOOD

        return Supervisor(agent(worker, log), reviewer=Agent(reviewer, function=judge))

    state = resumed(call, reviewed("ann", "old", dies=True), reviewed("bob", "new"))
    assert (state["status"], state["messages"][-1].text) == ("completed", "the request by ann")
    assert log == ["ann: the request", "old", "new"]


def test_a_supervisor_without_the_node_that_a_run_has_reached_says_so(call: Any) -> None:
    def polish(state: Any) -> Any:
        raise KeyboardInterrupt

    class Polished(Supervisor):
        def build(self) -> Any:
            return super().build().add_node("polish", polish).add_edge("polish", "answer")

        def reviewed(self, state: Any) -> Literal["polish"]:
            return "polish"

    plain: Any = {"worker": agent("x", []), "review": lambda task, work, context: GOOD}
    with pytest.raises(ChangedCodeError, match="it has reached node 'polish', which this graph does not have"):
        resumed(call, Polished(**plain), Supervisor(**plain))


def test_a_new_request_in_an_old_thread_runs_with_the_new_code(call: Any) -> None:
    saver, log = InMemorySaver(), []
    call(workflow(log, *OLD).compile(saver), ASK, THREAD)
    state = call(workflow(log, step("z", agent="x")).compile(saver), ASK, THREAD)
    assert (statuses(state), "code" in state) == ("z:completed", False)
