"""From a request to a running graph: opens the storage, gets the model ready, builds the graph."""

import logging
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from agents.errors import ConfigurationError, StorageError
from agents.models import chat_model, model_name
from graphs import storage as stores
from graphs.cli.options import Choices, Flag, Request, Shown, TeamFileOption, Thread
from graphs.cli.output import print_table, say, stderr, stdout
from graphs.cli.run import finished_steps
from graphs.cli.run import run as run_graph
from graphs.cli.run_spec import RunSpec
from graphs.engine import CompiledPattern, ThreadLock
from graphs.show import pictures
from graphs.storage import State, Storage

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Characters of run ids: none that look alike."""
_ID_LENGTH = 5
_NAME = re.compile(r"\w[\w.\-]{0,99}")


def ask(request: str | None, pattern: str | None, choices: Choices, thread: Thread, shown: Shown) -> int:
    """Run a request, stored or not; return the exit code."""
    value = {"messages": _request(request)}
    if thread.thread and thread.no_store:
        raise ConfigurationError("--thread continues what is stored; leave --no-store out")
    new = RunSpec(pattern or "orchestrator")
    if thread.no_store:
        return begin(new.with_choices(choices), value, shown)
    with opened_storage() as storage:
        run = run_id(storage, thread.thread)
        with storage.lock_thread(run, "refuse") as lock:
            before = _find(storage, run)
            spec = _continued(run, before, pattern, choices) if before else new.with_choices(choices)
            return begin(spec, value, shown, storage=storage, lock=lock, run=run)


def _request(request: str | None) -> str:
    if request in (None, "-") and sys.stdin is not None:
        try:
            request = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"Standard input is not UTF-8 text: {error}") from error
    if not request or not request.strip():
        raise ConfigurationError('The request is missing; write it in quotes: podium "Compare tea and coffee"')
    return request.strip()


def _continued(run: str, before: State, pattern: str | None, choices: Choices) -> RunSpec:
    """Return the spec of a conversation, in which the last run must have ended."""
    if before["ended"] is None:
        raise ConfigurationError(f"The last run of {run} has not ended; go on with it first: podium resume {run}")
    spec = RunSpec.of(run, before["metadata"], choices)
    if pattern not in (None, spec.pattern):
        raise ConfigurationError(f"The conversation {run} goes on with its pattern, {spec.pattern}")
    return spec


@contextmanager
def opened_storage(*, only_if_there: bool = False) -> Iterator[Storage]:
    """Open the storage of runs: the file or Postgres database that PODIUM_RUNS names, else the default file."""
    named = os.environ.get(stores.PATH_VARIABLE, "")
    if named.startswith(("postgres://", "postgresql://")):
        with stores.postgres(named) as storage:
            yield storage
        return
    file = stores.default_path()
    if only_if_there and not file.exists():
        raise StorageError(f"No runs are stored yet: {file} does not exist")
    with stores.sqlite(file) as storage:
        yield storage


def run_id(storage: Storage, name: str | None = None) -> str:
    """Return a name for stored runs, if it can be one; without a name, an id that no stored run has."""
    if name and not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} cannot name a run; use letters, digits, '-', '_' and '.'")
    while not name:
        new = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
        name = new if _find(storage, new) is None else None
    return name


def _find(storage: Storage, run: str) -> State | None:
    if storage.get_tuple({"configurable": {"thread_id": run}}) is None:
        return None
    return stores.state(storage, run)


def begin(
    spec: RunSpec,
    value: object,
    shown: Shown,
    *,
    storage: Storage | None = None,
    lock: ThreadLock | None = None,
    run: str | None = None,
    before: State | None = None,
) -> int:
    """Build a run's graph, and start it or go on with it (`before`: as it is stored); return the exit code.

    The value is an input, None to go on, or a `Command` with answers. A run without storage is not stored.
    """
    spec.check()
    model = None
    if not spec.is_own:  # a graph of the user's own has its own models
        model = ready(spec.model or None, quiet=shown.quiet)
        spec = spec.with_model(model)
        for agent in spec.agents(model):
            chat_model(agent.model)
    for library in ("langchain_openai", "mcp"):  # what they log is raised, too, and shown as an error
        logging.getLogger(library).setLevel(logging.CRITICAL)
    graph = spec.compile(model, storage or InMemorySaver())
    if run and not shown.quiet:
        say(stderr(), f"run {run}", "dim")
    config: RunnableConfig = {"configurable": {"thread_id": run or "unstored"}, "metadata": spec.metadata()}
    takes_settings = isinstance(graph, CompiledPattern) or spec.settings
    return run_graph(
        graph,
        value,
        config=lock.mark(config) if lock else config,
        context=spec.context() if takes_settings else None,
        stored_as=run,
        finished=finished_steps(before) if before else {},
        shown=shown,
        stored=partial(stores.state, storage, run) if storage and run else None,
    )


def ready(name: str | None, *, quiet: bool) -> BaseChatModel:
    """Get the model ready, which takes seconds if it is the local one, and say which it is."""
    from agents.models.local import PROFILE

    with stderr().status("getting the model ready"):
        model = chat_model(name)
    if not quiet:
        local = ", small and on this machine; its answers may be wrong" if model.profile == PROFILE else ""
        say(stderr(), f"Model: {model_name(model)}{local}", "dim")
    return model


def run_command(
    graph: Annotated[str, Parameter(help="The graph or pattern, as module:name or file.py:name.")],
    request: Request = None,
    /,
    *,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    thread: Thread = Thread(),  # noqa: B008 - frozen
    shown: Shown = Shown(),  # noqa: B008 - frozen
) -> int:
    """Run a request by a graph of your own; it is shown and stored like every other run."""
    return ask(request, graph, choices, thread, shown)


def draw_command(
    graph: Annotated[str, Parameter(help="A pattern, or a graph of your own as module:name.")] = "orchestrator",
    /,
    *,
    svg: Annotated[bool, Parameter(help="Print an SVG picture instead."), Flag] = False,
    team_file: TeamFileOption = None,
) -> None:
    """Print a graph with what is inside its nodes, as Mermaid or SVG; needs no model."""
    compiled: Any
    if graph == "workflow":
        from graphs.server import workflow as compiled
    else:
        compiled = RunSpec(graph).with_choices(Choices(team_file=team_file)).compile(None)
    say(stdout(), pictures(compiled)["image/svg+xml" if svg else "text/vnd.mermaid"])


def team_command(*, team_file: TeamFileOption = None) -> None:
    """List the agents of the team with their tools."""
    spec = RunSpec("orchestrator").with_choices(Choices(team_file=team_file))
    rows = [
        (agent.name, agent.description, ", ".join(tool.name for tool in agent.tools)) for agent in spec.agents(None)
    ]
    print_table(stdout(), ("agent", "what it is for", "tools"), rows)
