"""What the tests of agents and graphs share.

The process that only hands tests to the workers reads this file too: fixtures import what they need themselves.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from agents import Agent
    from graphs.distributed import Queue
    from tests.collector import Collector
    from tests.processes import Processes
    from tests.server_process import Desk, ServerProcess

Call = Callable[..., Any]


BOTH = {"test_cancellation", "test_sync_async"}
"""Tests of what differs between sync and async callers; elsewhere one coroutine serves both, and a test runs in one."""

SHARE_A_SERVER = {"test_server", "test_server_door", "test_server_protocols", "test_tracing_setting"}
SLOWEST_FIRST = (
    *("server", "test_local", "test_distributed", "test_notebooks", "test_cli", "test_runs_cli"),
    *("test_postgres", "test_questions", "test_queue", "test_workers", "test_durability", "test_mcp", "test_sanitize"),
    "test_run",
)
"""Files and groups that the workers of pytest-xdist begin with, so that none is left with a long one at the end."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the workers of `-n auto`: one more than processors, as tests that start other processes wait for them."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionstart(session: pytest.Session) -> None:
    """Set up a process that runs tests."""
    if session.config.getoption("numprocesses", None):
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
    gc.disable()  # until all is imported: what an import makes is hardly ever garbage
    from hypothesis import settings

    settings.register_profile("repeatable", deadline=None, database=None, derandomize=True, max_examples=15)
    settings.register_profile("search", deadline=None, max_examples=1000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
    import_module("langchain.agents")  # slow to import: no test with a time limit shall be the first to do it


def pytest_collection_finish() -> None:
    """Look for garbage rarely, and never among what was imported: that took a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def group_of(node: str) -> str:
    """Return what keeps a test on one worker: its file, or the server that several files share."""
    name = Path(node.partition("::")[0]).stem
    return "server" if name in SHARE_A_SERVER else name


class Rotated(pytest.Dir):
    """Begins with other files on every worker: each compiles its share of them, and reads what the others compiled."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        files = list(super().collect())
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
        start = worker * len(files) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        return files[start:] + files[:start]


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect this folder's files in the worker's own order."""
    return Rotated.from_parent(parent, path=path) if path == Path(__file__).parent else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest tests first, and those of the server after its restart behind those before it."""
    order = {group: place for place, group in enumerate(SLOWEST_FIRST)}

    def place(item: pytest.Item) -> tuple[int, bool, str]:
        is_late = "restarted" in getattr(item, "fixturenames", ())
        return order.get(group_of(item.nodeid), len(order)), is_late, item.path.name

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send groups to the workers, in their order; xdist's own `loadgroup` (3.8) does nothing with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test with `call` or `ask` run in one way, spread by its name, or in both."""
    has_own = any("call" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "call" in metafunc.fixturenames and not has_own and not hasattr(metafunc.module, "call"):
        modes = ["invoke", "ainvoke"]
        metafunc.parametrize("call", _some_of(modes, metafunc), indirect=True)
    if "ask" in metafunc.fixturenames:
        metafunc.parametrize("ask", _some_of(["ainvoke", "stream"], metafunc), indirect=True)


def _some_of(modes: list[str], metafunc: pytest.Metafunc) -> list[str]:
    is_about_modes = metafunc.module.__name__.rpartition(".")[2] in BOTH
    return modes if is_about_modes else [modes[crc32(metafunc.function.__name__.encode()) % len(modes)]]


@pytest.fixture
def call(request: pytest.FixtureRequest) -> Call:
    """Call a Runnable."""

    def invoke(runnable: Any, value: Any, config: Any = None, **options: Any) -> Any:
        if request.param == "invoke":
            return runnable.invoke(value, config, **options)
        return asyncio.run(runnable.ainvoke(value, config, **options))

    return invoke


@pytest.fixture
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give an agent a task in a workflow, in async code as it is, in sync code streamed; return the result."""

    from graphs import Step, Workflow
    from tests.chat import AT_ONCE

    def asked(agent: Agent, retry: Any = AT_ONCE) -> Any:
        graph = Workflow([Step("s", agent.name, "Do it")], agents=[agent], retry=retry).compile()
        if request.param == "ainvoke":
            return asyncio.run(graph.ainvoke({"messages": "Do it"}))
        return list(graph.stream({"messages": "Do it"}, stream_mode=["messages", "values"]))[-1][1]

    return asked


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Start real processes of the command, quickly."""
    from tests.processes import Processes

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with Processes(tmp_path_factory.mktemp("processes"), shared) as server:
        yield server


@pytest.fixture
def processes(server: Processes, tmp_path: Path) -> Processes:
    """Start real processes in a folder of the test's own, with no key, no model and no stored runs."""
    return server.moved_to(tmp_path)


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    """Serve a Postgres to the tests of a file."""
    from benchmarks.postgres_server import server

    with server() as address:
        yield address


@pytest.fixture
def queue(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """Return a queue for graphs that write down what they do in the test's folder."""
    from graphs.distributed import Queue
    from tests import crew

    monkeypatch.setenv("CREW", str(tmp_path))
    return Queue(uri, crew.graphs)


@pytest.fixture
def office(uri: str, processes: Processes) -> Processes:
    """Run commands whose runs are in the Postgres of the queue."""
    processes.environment |= {"PODIUM_RUNS": uri, "CREW": str(processes.folder)}
    return processes


@pytest.fixture(scope="session")
def all_desks() -> Iterator[Desk]:
    """Answer the agents of the server."""
    from tests.server_process import Desk

    with Desk() as desk:
        yield desk
        desk.released.set()


@pytest.fixture
def desk(all_desks: Desk) -> Desk:
    """Answer the agents of the server, with nothing left of the test before."""
    all_desks.fresh()
    return all_desks


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Collect the spans of the server."""
    from tests.collector import Collector

    with Collector() as collector:
        yield collector


@pytest.fixture(scope="session")
def langgraph(
    all_desks: Desk, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Serve the graphs of langgraph.json and two of our own, as `langgraph dev` does, with tracing."""
    from tests.server_process import ServerProcess, with_own_graphs

    settings = {**all_desks.environment, "PODIUM_TRACING": collector.url}
    folder = with_own_graphs(tmp_path_factory.mktemp("server"))
    with ServerProcess(folder, **settings) as server:
        yield server


@pytest.fixture(scope="session")
def restarted(langgraph: ServerProcess, all_desks: Desk) -> dict[str, Any]:
    """Start the server again in the middle of a run, now with a token; return the run's state and who was asked."""
    from tests.server_process import TOKEN

    all_desks.fresh(slow="one")
    with langgraph.client() as client:
        thread = client.threads.create()["thread_id"]
        run = client.runs.create(thread, "planner", input={"messages": "Do it"})["run_id"]
        all_desks.until_asked("one")
        all_desks.until_asked("three")
    langgraph.stop()
    all_desks.slow = ""
    all_desks.released.set()
    langgraph.environment["PODIUM_TOKEN"] = TOKEN
    langgraph.start()
    with langgraph.client(TOKEN) as client:
        state = client.runs.join(thread, run)
    return {"state": state, "asked": [*all_desks.asked]}


@pytest.fixture
def shut(langgraph: ServerProcess, restarted: dict[str, Any]) -> ServerProcess:
    """Serve the same to clients that send the token; tests of the server without one come before."""
    return langgraph
