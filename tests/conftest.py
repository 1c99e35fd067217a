"""What the tests of agents and graphs share."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import settings

from tests.processes import Processes
from tests.server_process import Desk, ServerProcess

Call = Callable[..., Any]

settings.register_profile("repeatable", deadline=None, database=None, derandomize=True, max_examples=40)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


BOTH = {"agent", "cancellation", "middleware", "rate_limit", "retry", "sync_async", "tools", "workflow"}
"""Tests of what differs between sync and async code; elsewhere one coroutine serves both, and a test runs in one."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test with `call` run in sync code, in async code, or in both; which of the two is spread by its name."""
    has_own = any("call" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "call" in metafunc.fixturenames and not has_own and not hasattr(metafunc.module, "call"):
        modes = ["invoke", "ainvoke"]
        if metafunc.module.__name__.removeprefix("tests.").removeprefix("test_") not in BOTH:
            modes = [modes[crc32(metafunc.function.__name__.encode()) % 2]]
        metafunc.parametrize("call", modes, indirect=True)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Have Ctrl-C raise, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def call(request: pytest.FixtureRequest) -> Call:
    """Call a Runnable."""

    def invoke(runnable: Any, value: Any, config: Any = None, **options: Any) -> Any:
        if request.param == "invoke":
            return runnable.invoke(value, config, **options)
        return asyncio.run(runnable.ainvoke(value, config, **options))

    return invoke


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Start real processes of the command, quickly."""
    with Processes(tmp_path_factory.mktemp("processes")) as server:
        yield server


@pytest.fixture
def processes(server: Processes, tmp_path: Path) -> Processes:
    """Start real processes in a folder of the test's own, with no key, no model and no stored runs."""
    return server.moved_to(tmp_path)


@pytest.fixture(scope="session")
def all_desks() -> Iterator[Desk]:
    """Answer the agents of the server."""
    with Desk() as desk:
        yield desk
        desk.released.set()


@pytest.fixture
def desk(all_desks: Desk) -> Desk:
    """Answer the agents of the server, with nothing left of the test before."""
    all_desks.fresh()
    return all_desks


@pytest.fixture(scope="session")
def langgraph(all_desks: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Serve the graphs of langgraph.json, as `langgraph dev` does."""
    with ServerProcess(tmp_path_factory.mktemp("server"), **all_desks.environment) as server:
        yield server
