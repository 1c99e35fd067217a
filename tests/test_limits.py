"""A budget holds across agents, nested graphs, retries and repairs, and what was done before it ran out is kept."""

import math
import time
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agents import Agent, ConfigurationError, Retry, Settings, TransientError
from agents.settings import capped
from agents.testing import Reply, ScriptedModel
from graphs import Planner, Router, Step, Supervisor, Workflow
from graphs.engine import new_record
from graphs.engine.step_records import AtWork
from tests.tables import each

ASK = {"messages": "the request"}
PRICES = {"*": [1.0, 2.0]}


def step(name: str, *dependencies: str) -> dict[str, Any]:
    return {"id": name, "agent": "worker", "task": f"do {name}", "dependencies": list(dependencies)}


def worker(*script: Any, name: str = "worker") -> Agent:
    return Agent(name, instructions="Work.", model=ScriptedModel(list(script) or (lambda messages: "done")))


def chain(number: int = 4) -> Any:
    names = [f"s{at}" for at in range(number)]
    steps = [step(name, *names[:at][-1:]) for at, name in enumerate(names)]
    return Planner([worker()], model=ScriptedModel([{"steps": steps}, "The answer."])).compile()


def completed(state: Any) -> int:
    return sum(step["status"] == "completed" for step in state["steps"].values())


def test_no_call_starts_when_the_calls_are_used_up(call: Any) -> None:
    state = call(chain(), ASK, context=Settings(max_calls=4))
    assert (state["status"], completed(state), state["usage"]["calls"]) == ("partial", 2, 4)
    assert "budget of 4 model calls is used up" in state["stop_reason"]


@pytest.mark.parametrize("limits", [{"max_tokens": 250}, {"max_cost": 0.0003, "prices": PRICES}, {"max_seconds": 1e-9}])
def test_every_limit_ends_the_run(limits: dict[str, Any], call: Any) -> None:
    state = call(chain(), ASK, context=limits)
    assert state["status"] in ("partial", "failed")
    assert "is used up" in state["stop_reason"]


def test_failed_calls_count_after_a_resume_too(call: Any) -> None:
    flaky = worker(ConnectionError("gone"), ConnectionError("gone"), *["done"] * 9)
    asks = Agent("asks", function=lambda task: interrupt("?"))
    steps = [Step("a", "worker", "go"), Step("q", "asks", "go", ["a"])]
    steps += [Step(f"b{at}", "worker", "go", ["q"]) for at in range(3)]
    graph = Workflow(steps, agents=[flaky, asks], retry=Retry(wait=0)).compile(InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    call(graph, ASK, thread, context={"max_calls": 5})
    state = call(graph, Command(resume="yes"), thread, context={"max_calls": 5})
    assert (state["usage"]["calls"], completed(state), state["status"]) == (5, 4, "partial")


def test_repairs_count(call: Any) -> None:
    planner = Planner([worker()], model=ScriptedModel(lambda messages: "no plan")).compile()
    assert "budget of 3 model calls" in str(call(planner, ASK, context={"max_calls": 3})["errors"])


def test_nested_graphs_share_the_budget(call: Any) -> None:
    inner = Workflow([Step("x", "worker", "go"), Step("y", "worker", "go", ["x"])], agents=[worker()])
    outer = Workflow([Step("a", "inner", "go"), Step("b", "inner", "go", ["a"])], agents=[inner.as_agent("inner")])
    state = call(outer.compile(), ASK, context={"max_calls": 3})
    assert (state["status"], state["usage"]["calls"]) == ("partial", 3)


def test_where_nothing_is_put_together_no_share_is_kept(call: Any) -> None:
    two = Workflow([Step("a", "worker", "go"), Step("b", "worker", "go")], agents=[worker()]).compile()
    assert call(two, ASK, context={"max_calls": 2})["status"] == "completed"


def test_a_planner_inside_another_graph_has_its_share(call: Any) -> None:
    model = ScriptedModel([{"steps": [step("s0"), step("s1", "s0")]}, "The answer."])
    planner = Planner([worker()], model=model).as_agent("planner")
    graph = Workflow([Step("a", "planner", "go")], agents=[planner]).compile()
    state = call(graph, ASK, context={"max_calls": 3})
    assert (state["status"], state["messages"][-1].text) == ("partial", "The answer.")


def merging() -> Any:
    models = {name: ScriptedModel(Reply(name, usage=(1000, 1000))) for name in ("ann", "bob")}
    team = [Agent(name, f"For {name}.", instructions="Work.", model=model) for name, model in models.items()]
    ranked = [{"agent": item.name, "confidence": 0.9} for item in team]
    script = ScriptedModel([{"reason": "both", "candidates": ranked}, "Ann and Bob."])
    return Router(team, model=script, multiple=True).compile()


def test_the_merging_of_answers_has_a_share_of_its_own(call: Any) -> None:
    state = call(merging(), ASK, context={"max_calls": 4})
    assert (state["status"], state["messages"][-1].text) == ("completed", "Ann and Bob.")


def test_answers_that_may_not_be_merged_any_more_are_partial(call: Any) -> None:
    whole = call(merging(), ASK)["usage"]
    merger = whole["agents"]["merger"]
    before = sum(whole[item] - merger[item] for item in ("input_tokens", "output_tokens"))
    state = call(merging(), ASK, context={"max_tokens": before})
    assert (state["status"], state["messages"][-1].text) == ("partial", "ann\n\nbob")
    assert state["stop_reason"].startswith(f"The answers could not be merged: The budget of {before} tokens is used up")


def test_a_model_inside_a_function_counts(call: Any) -> None:
    model = ScriptedModel(lambda messages: "done")
    asks = Agent("asks", function=lambda task: [model.invoke([HumanMessage(task)]).text for _ in range(5)])
    state = call(Workflow([Step("a", "asks", "go")], agents=[asks]).compile(), ASK, context={"max_calls": 2})
    assert (state["status"], len(model.calls)) == ("failed", 2)


def test_a_supervisor_returns_the_best_so_far(call: Any) -> None:
    bad = {"evidence": "thin", "met": False}
    verdicts = [{"criteria": {"criterion_1": bad, "criterion_2": bad}, "feedback": str(at)} for at in range(3)]
    writer = worker("first", "second", "third")
    graph = Supervisor(writer, model=ScriptedModel(verdicts)).compile()
    state = call(graph, ASK, context={"max_calls": 3})
    assert (state["status"], state["messages"][-1].text) == ("partial", "first")
    assert "budget" in state["stop_reason"]


def test_the_cost_is_in_the_usage(call: Any) -> None:
    agent = worker(Reply("done", usage=(1_000_000, 500_000)))
    state = call(Workflow([Step("a", "worker", "go")], agents=[agent]).compile(), ASK, context={"prices": PRICES})
    assert state["usage"]["cost"] == pytest.approx(2.0)
    assert state["usage"]["agents"]["worker"]["cost"] == pytest.approx(2.0)


def test_a_model_without_a_price_is_not_called_under_a_cost_limit(call: Any) -> None:
    graph = Workflow([Step("a", "worker", "go")], agents=[worker()]).compile()
    state = call(graph, ASK, context={"max_cost": 1.0, "prices": {"other": [1, 1]}})
    assert "neither" in state["stop_reason"]


def test_the_seconds_cut_a_wait_for_the_next_attempt(call: Any) -> None:
    calls: list[str] = []

    def busy(task: str) -> str:
        calls.append(task)
        raise TransientError("busy")

    graph = Workflow([Step("a", "busy", "go")], agents=[busy], retry=Retry(wait=3600, max_wait=3600)).compile()
    state = call(graph, ASK, context={"max_seconds": 1})
    assert "budget of 1 seconds is used up" in state["stop_reason"]
    assert calls == ["go"]


def test_the_seconds_of_finished_steps_count_after_a_resume(call: Any) -> None:
    naps = Agent("naps", function=lambda task: time.sleep(float(task)) or "rested")
    asks = Agent("asks", function=lambda task: interrupt("?"))
    steps = [Step("a", "naps", "0.2"), Step("b", "naps", "0.2"), Step("q", "asks", "go", ["a", "b"])]
    graph = Workflow([*steps, Step("m", "naps", "0", ["q"])], agents=[naps, asks]).compile(InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    call(graph, ASK, thread)
    state = call(graph, Command(resume="yes"), thread, context={"max_seconds": 0.2})
    assert state["status"] == "partial"
    assert "budget of 0.2 seconds is used up" in state["stop_reason"]


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(10, 12)], 2),
        ([(10, 12), (11, 14)], 4),
        ([(20, 21), (10, 12)], 3),
        ([(10, 15), (11, 12)], 5),
        ([(10, 12), (14, 16), (18, 20), (11, 15)], 8),
        ([(10, 12), (None, None)], 2),
    ],
)
def test_what_was_done_at_the_same_time_counts_once(spans: list[Any], seconds: float) -> None:
    at_work = AtWork()
    new = [at_work.add(new_record(Step("a", "w", "go"), "completed", started=key, ended=end)) for key, end in spans]
    assert (at_work.seconds, sum(new)) == (seconds, seconds)


@pytest.mark.parametrize("limits", [{"max_tokens": 10}, {"max_cost": 1, "prices": PRICES}])
def test_a_model_that_tells_no_tokens_is_called_once_under_a_limit_of_tokens(call: Any, limits: dict[str, Any]) -> None:
    silent = Agent("worker", instructions="Work.", model=FakeListChatModel(responses=["done"]))
    steps = [Step("a", "worker", "go"), Step("b", "worker", "go", ["a"])]
    state = call(Workflow(steps, agents=[silent]).compile(), ASK, context=limits)
    assert (state["status"], state["usage"]["calls"]) == ("partial", 1)
    assert f"{next(iter(limits))} is set, but " in state["stop_reason"]
    assert "does not tell how many tokens it used" in state["stop_reason"]


def test_calls_are_counted_of_a_model_that_tells_no_tokens(call: Any) -> None:
    silent = Agent("worker", instructions="Work.", model=FakeListChatModel(responses=["done"]))
    steps = [Step("a", "worker", "go"), Step("b", "worker", "go", ["a"])]
    assert call(Workflow(steps, agents=[silent]).compile(), ASK, context={"max_calls": 2})["status"] == "completed"


@each(
    ("wrong", "told"),
    [
        ({"max_calls": -1}, "max_calls must be a number from 0 up, not -1"),
        ({"approval": "false"}, "approval must be True or False, not 'false'"),
        ({"max_seconds": math.nan}, "max_seconds must be a number from 0 up, not nan"),
        ({"max_tokens": math.inf}, "max_tokens must be a number from 0 up, not inf"),
        ({"max_cost": math.nan, "prices": PRICES}, "max_cost must be a number from 0 up, not nan"),
        ({"max_cost": 1.0}, "max_cost needs prices"),
        ({"prices": {"*": 1.5}}, r"A price is \[input, output\] .* wrong for \*"),
        ({"prices": {"m": [1]}}, "wrong for m"),
        ({"prices": {"m": [math.nan, 1]}}, "wrong for m"),
        ({"prices": {"m": [1, -1]}}, "wrong for m"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Settings(**wrong)


def test_refusals_are_not_logged_as_warnings(caplog: Any) -> None:
    chain().invoke(ASK, context={"max_calls": 3})
    assert "Ledger" not in caplog.text


def test_nothing_is_planned_again_when_a_supervised_step_is_out_of_budget(call: Any) -> None:
    careful = Supervisor(worker(), model=ScriptedModel(lambda messages: "unread")).as_agent("worker")
    model = ScriptedModel([{"steps": [step("a"), step("b", "a")]}])
    state = call(Planner([careful], model=model).compile(), ASK, context={"max_calls": 2})
    assert (len(model.calls), state["status"]) == (1, "failed")


def test_nobody_is_asked_to_rule_when_the_budget_is_used_up(call: Any) -> None:
    graph = Supervisor(worker(), model=ScriptedModel("unread"), escalate="human").compile(InMemorySaver())
    state = call(graph, ASK, {"configurable": {"thread_id": "1"}}, context={"max_calls": 1})
    assert (state["status"], state["messages"][-1].text) == ("partial", "done")
    assert "budget of 1 model calls is used up" in state["stop_reason"]


# Ceilings of the operator


def test_a_run_may_ask_for_less_than_the_operators_ceiling_not_for_more(call: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PODIUM_MAX_CALLS", "2")
    for asked, calls in ((0, 2), (9, 2), (1, 1)):
        model = ScriptedModel(lambda messages: "yes")
        steps = [Step("a", "ann", "x"), Step("b", "ann", "x", ["a"]), Step("c", "ann", "x", ["b"])]
        graph = Workflow(steps, agents=[Agent("ann", model=model)]).compile()
        state = call(graph, {"messages": "go"}, context={"max_calls": asked, "mine": 1} if asked else None)
        assert (len(model.calls), state["errors"][0]["kind"]) == (calls, "BudgetError")


def test_ceilings_are_read_as_settings_are(monkeypatch: Any) -> None:
    monkeypatch.setenv("PODIUM_MAX_TOKENS", "100")
    monkeypatch.setenv("PODIUM_MAX_SECONDS", "1.5")
    monkeypatch.setenv("PODIUM_MAX_COST", "2")
    monkeypatch.setenv("PODIUM_PRICES", '{"*": [1, 2]}')
    asked = Settings(max_tokens=50, max_cost=9, max_calls=7, prices={"*": [0, 0]})
    own = capped(asked)
    assert (own.max_tokens, own.max_seconds, own.max_cost, own.max_calls, own.prices) == (50, 1.5, 2, 7, {"*": [1, 2]})


def test_prices_that_cannot_be_read_name_their_variable(monkeypatch: Any) -> None:
    monkeypatch.setenv("PODIUM_MAX_COST", "2")
    monkeypatch.setenv("PODIUM_PRICES", '{"*": 1.5}')
    with pytest.raises(ConfigurationError, match="PODIUM_PRICES"):
        capped(Settings())


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (f"PODIUM_MAX_{name}", text)
        for name, text in {"CALLS": "many", "SECONDS": "-1", "TOKENS": "nan", "COST": "5"}.items()
    ],
)
def test_a_ceiling_that_cannot_be_read_is_a_clear_error(call: Any, monkeypatch: Any, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    graph = Workflow([Step("a", "ann", "x")], agents=[Agent("ann", function=lambda task: "yes")]).compile()
    with pytest.raises(ConfigurationError, match=variable):
        call(graph, {"messages": "go"})
