"""Steps on other machines: agents of a team whose work is done behind an executor."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from agents import Agent, AgentError, ConfigurationError, Retry
from agents.runtime import Attempts, explain, is_exhausted, is_transient
from agents.runtime.provider_errors import retry_after
from agents.testing import LASTING_FAULTS, TRANSIENT_FAULTS, FaultyProvider
from graphs import Network, Step, Supervisor, Workflow
from graphs.distributed import on
from graphs.distributed.remote_work import pack, unpack
from tests.conftest import Call
from tests.markdown import ROOT
from tests.remote_team import Sum, checked, keep_notes, until_there
from tests.tables import each

TEAM = "tests.remote_team:agents"


def preloaded() -> Any:
    """Return a context that imports once what each process of a spawned pool would import."""
    context = get_context("forkserver")
    context.set_forkserver_preload([TEAM.partition(":")[0], "graphs.distributed.executor"])
    return context


def new_pool(size: int = 2) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(size, mp_context=preloaded())


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with new_pool() as pool:
        yield pool


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    """Run the same code in this process: orders and replies are bytes here too."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


def agent(name: str, executor: Any) -> Agent:
    return next(agent for agent in on(executor, TEAM) if agent.name == name)


def invoke(runnable: Any, value: Any, config: Any = None, **options: Any) -> Any:
    return runnable.invoke(value, config, **options)


def step(agent: str, task: str = "Do it", **options: Any) -> dict[str, Any]:
    return {"id": agent, "agent": agent, "task": task, **options}


def run(call: Call, executor: Any, *steps: dict[str, Any], **options: Any) -> dict[str, Any]:
    workflow = Workflow(steps, agents=on(executor, TEAM), retry=Retry(wait=0)).compile()
    result: dict[str, Any] = call(workflow, {"messages": []}, **options)
    return result


def test_steps_work_in_other_processes_at_once(call: Call, pool: Executor, tmp_path: Path) -> None:
    two = [step("meet", str(tmp_path)), {**step("meet", str(tmp_path)), "id": "other"}]
    processes = {record["data"] for record in run(call, pool, *two)["steps"].values()}
    assert len(processes - {os.getpid()}) == 2


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Executor]:
    """Have a pool of one process, which does one thing after another."""
    with new_pool(1) as pool:
        pool.submit(keep_notes, str(tmp_path / "notes"))
        yield pool


def noted(pool: Executor, tmp_path: Path) -> list[str]:
    """Return the notes when the process has done all that was submitted."""
    agent("note", pool).invoke("the end")
    return (tmp_path / "notes").read_text().splitlines()


ONCE = {"timeout": 0.5, "retry": {"attempts": 1}}


def test_after_a_time_out_the_worker_starts_no_more_calls(call: Call, lonely: Executor, tmp_path: Path) -> None:
    agent("note", lonely).invoke("the beginning")
    record = run(call, lonely, step("patient", **ONCE))["steps"]["patient"]
    assert "no answer within 0.5 s" in record["error"]
    # Between the first note and the last nothing, if it was too slow to begin in time.
    assert noted(lonely, tmp_path)[1:-1] in (["at work", "cancelled"], [])


def test_what_a_pool_has_taken_but_not_begun_in_time_is_never_begun(
    call: Call, lonely: Executor, tmp_path: Path
) -> None:
    lonely.submit(until_there, str(tmp_path / "go"))
    record = run(call, lonely, step("note", "late", **ONCE))["steps"]["note"]
    assert "no answer within 0.5 s" in record["error"]
    (tmp_path / "go").touch()
    assert noted(lonely, tmp_path) == ["the end"]


def test_after_a_cancellation_the_worker_starts_no_more_calls(lonely: Executor, tmp_path: Path) -> None:
    graph = Workflow([step("patient")], agents=on(lonely, TEAM)).compile()

    async def cancelled() -> None:
        task = asyncio.create_task(graph.ainvoke({"messages": []}))
        await asyncio.to_thread(until_there, str(tmp_path / "notes"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert noted(lonely, tmp_path) == ["at work", "cancelled", "the end"]


def test_names_descriptions_and_examples_are_the_same(threads: Executor) -> None:
    writer, *others = on(threads, TEAM)
    assert (writer.name, writer.description, list(writer.examples)) == ("writer", "Writes", ["Write a note"])
    assert [agent.name for agent in others][-2:] == ["clerk", "workflow"]


def test_checks_are_made_where_the_work_is_done_and_once(threads: Executor) -> None:
    checked.clear()
    assert agent("checked", threads).invoke("a task")["text"] == "A TASK"
    assert checked == ["A TASK"]


def test_what_is_streamed_is_written_elsewhere_too(threads: Executor) -> None:
    assert [chunk["text"] for chunk in agent("writer", threads).stream("Write")] == ["Text"]
    with ThreadPoolExecutor(1) as ended:
        pass
    with pytest.raises(AgentError, match="takes no more work"):
        list(agent("writer", ended).stream("Write"))


def test_a_pool_that_lost_a_process_is_made_again(tmp_path: Path) -> None:
    made: list[ProcessPoolExecutor] = []

    def pool() -> ProcessPoolExecutor:
        made.append(new_pool())
        return made[-1]

    result = run(invoke, pool, step("die_once", str(tmp_path / "died")), step("where"))
    for executor in made:
        executor.shutdown()
    assert [record["status"] for record in result["steps"].values()] == ["completed", "completed"]
    assert "ended without a reply" in result["errors"][0]["message"]


def test_a_broken_pool_says_how_to_have_another(tmp_path: Path) -> None:
    with new_pool() as pool:
        result = run(invoke, pool, step("die_once", str(tmp_path / "died")))
    assert "The process pool is broken" in result["errors"][-1]["message"]


def test_an_executor_that_is_shut_down_is_not_tried_again() -> None:
    with ThreadPoolExecutor() as threads:
        pass
    record = run(invoke, threads, step("writer"))["steps"]["writer"]
    assert (record["attempts"], "takes no more work" in record["error"]) == (1, True)


def test_a_fault_that_passes_is_retried_here(call: Call, threads: Executor, tmp_path: Path) -> None:
    result = run(call, threads, step("busy", str(tmp_path / "calls")))
    assert (result["status"], result["steps"]["busy"]["attempts"]) == ("completed", 2)


def test_work_in_which_a_tool_ran_is_not_repeated(threads: Executor) -> None:
    record = run(invoke, threads, step("payer"))["steps"]["payer"]
    assert (record["status"], record["usage"]["agents"]["payer"]["calls"]) == ("failed", 4)


def test_errors_have_their_class_their_cause_and_their_place(threads: Executor) -> None:
    broken = agent("broken", threads)
    with pytest.raises(ValueError, match="no such shelf") as raised:
        broken.invoke("Do it")
    assert isinstance(raised.value.__cause__, KeyError)
    assert 'raise ValueError("no such shelf")' in "".join(raised.value.__notes__)


def test_a_question_to_a_person_says_that_it_cannot_leave_the_worker(threads: Executor) -> None:
    with pytest.raises(AgentError, match="Keep this agent in the coordinator's process"):
        agent("ask", threads).invoke("Ask")


def test_an_agent_sees_the_settings_of_its_run_but_not_the_thread(call: Call, threads: Executor) -> None:
    config = {"configurable": {"tenant": "a", "thread_id": "t"}}
    result = run(call, threads, step("run_of"), config=config, context={"model": "own"})
    assert result["steps"]["run_of"]["data"] == {"tenant": "a", "thread": None, "model": "own"}


def test_usage_is_booked_and_budgets_are_kept_here(call: Call, threads: Executor) -> None:
    steps = [step("writer"), {**step("workflow", dependencies=["writer"])}]
    result = run(call, threads, *steps, context={"max_calls": 2})
    assert {name: share["calls"] for name, share in result["usage"]["agents"].items()} == {
        "writer": 1,
        "workflow/writer": 1,
    }
    assert run(call, threads, *steps, context={"max_calls": 1})["errors"][0]["kind"] == "BudgetError"


def test_peers_of_a_network_hand_over_from_elsewhere(call: Call, threads: Executor) -> None:
    peers = [agent(name, threads) for name in ("clerk", "writer", "desk", "where")]
    wrote = call(Network(peers, start="clerk").compile(), {"messages": "Chairs?"})
    assert (wrote["status"], wrote["messages"][-1].text) == ("completed", "Text")
    looked = call(Network(peers, start="desk").compile(), {"messages": "Chairs?"})
    assert [(handoff["by"], handoff["to"]) for handoff in looked["handoffs"]] == [("desk", "where")]


def test_a_step_returns_an_object_from_elsewhere_to_elsewhere(call: Call, threads: Executor) -> None:
    steps = [Step("sum", "clerk", "Add", returns=Sum), Step("double", "double", "Double it", dependencies=["sum"])]
    result = call(Workflow(steps, agents=on(threads, "tests.remote_team:summing")).compile(), {"messages": []})
    assert [record["data"] for record in result["steps"].values()] == [{"total": 3}, 6]


def test_a_supervisor_works_and_reviews_elsewhere(call: Call, threads: Executor) -> None:
    team = on(threads, "tests.remote_team:reviewed")
    result = call(Supervisor(team[0], reviewer=team[1]).compile(), {"messages": "Write"})
    assert (result["status"], [review["acceptable"] for review in result["reviews"]]) == ("completed", [True])


@pytest.mark.parametrize("place", ["tests.remote_team", "nowhere:agents", "tests.remote_team:nothing", "json:dumps"])
def test_a_place_without_agents_is_refused(place: str, threads: Executor) -> None:
    with pytest.raises((ConfigurationError, TypeError)):
        on(threads, place)


def test_what_is_not_an_executor_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="submit"):
        on(3, TEAM)  # type: ignore[arg-type]


@each("fault", ["rate limit", "dropped connection", "error in a 200", "wrong key", "too long", "refusal"])
def test_provider_errors_are_judged_alike_on_both_sides(fault: str) -> None:
    with FaultyProvider([{**TRANSIENT_FAULTS, **LASTING_FAULTS}[fault]]) as provider:
        writer = Agent("writer", instructions="Write", model=provider.chat_model())
        error = Attempts(writer, Retry(attempts=1)).invoke("Hi").error
    again = unpack(pack(error))
    assert isinstance(again, Exception)
    assert (is_transient(again), explain(again).rstrip(".")) == (is_transient(error), explain(error).rstrip("."))
    assert (retry_after(again), is_exhausted(again)) == (retry_after(error), is_exhausted(error))


def test_data_travels_as_objects(threads: Executor) -> None:
    assert agent("double", threads).invoke({"task": "Double it", "data": {"sum": Sum(total=3)}})["data"] == 6
    error = ValueError(0, "shelf")
    assert unpack(pack(error)).args == error.args  # type: ignore[attr-defined]
    value = {"sum": Sum(total=3), "many": [Sum(total=1)], "message": HumanMessage("Hi"), "set": {1}}
    assert unpack(pack(value)) == value
    with pytest.raises(TypeError):
        pack({"lock": threading.Lock()})


def test_dask_does_all_steps_though_a_worker_is_killed(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": None, "threads_per_worker": 1}
    with distributed.LocalCluster(n_workers=1, **options) as cluster, distributed.Client(cluster) as client:
        steps = [{**step("where"), "id": f"where_{number}"} for number in range(2)]
        killed = step("die_once", str(tmp_path / "died"))
        result = run(invoke, client.get_executor(pure=False), killed, *steps)
    assert {record["status"] for record in result["steps"].values()} == {"completed"}
    assert result["steps"]["where_0"]["data"]["process"] != os.getpid()


def test_the_example_of_the_page_runs_in_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    files = dict(re.findall(r"```python\n# (\w+\.py).*?\n(.*?)```", page, re.DOTALL))
    (tmp_path / "my_team.py").write_text(files["my_team.py"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("multiprocessing.get_context", lambda method: preloaded())
    try:
        exec(files["run.py"], {"__name__": "__main__"})
    finally:
        sys.modules.pop("my_team", None)
    assert capsys.readouterr().out.count(f'"SUM": {sum(range(3_000_000))}') == 2


@pytest.mark.skipif(find_spec("prefect") is None, reason="Prefect is not installed: pip install -e '.[prefect]'")
def test_each_assignment_is_a_task_run_of_prefect(tmp_path: Path) -> None:
    script, environment = [sys.executable, "-m", "tests.prefect_run"], {**os.environ, "PREFECT_HOME": str(tmp_path)}
    printed = subprocess.run(script, cwd=ROOT, env=environment, check=True, capture_output=True).stdout
    assert printed.split() == [b"completed", b"clerk", b"writer"]
