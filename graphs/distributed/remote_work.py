"""The work of a worker: one assignment of an agent that is looked up by name, from bytes to bytes.

Values are pickled as executors do it, errors of any class included: providers' errors cannot be unpickled, and so would
break a process pool, because their classes want the provider's response.
"""

import io
import json
import math
import os
import pickle
import platform
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, NotRequired, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.func import entrypoint
from typing_extensions import TypedDict

from agents import Agent, AgentError, Answer, Assignment, Retry, TransientError, UnknownAgentError
from agents.runtime import (
    Cancellation,
    FailedAttempt,
    InPlace,
    WorkCancelledError,
    evidence,
    explain,
    extended,
    in_run_scope,
    is_transient,
    run_scope,
)
from agents.settings import run_context, settings_from
from agents.usage import Tally, Usage
from graphs.decisions import handoffs
from graphs.engine import Spent, load_named, team_of, with_rest, within_budget

_LOOK = 0.1
"""Polling interval, in seconds, for whether the coordinator still waits."""
_FRAMES = 5
"""Innermost frames of a worker's traceback that are kept."""


_Judged = tuple[str, str, bool]
"""An error's text, its explanation, and whether it is transient."""
Mark = tuple[str, str]
"""A file that exists as long as the coordinator waits, after the name of its folder."""


@cache
def marks_folder() -> str:
    """Return what tells the folder of this process's marks from all others: containers may share a machine's name."""
    folder = os.stat(tempfile.gettempdir())
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        machine = str(uuid.getnode())  # without the programs that it asks, which small containers lack, a random number
    return f"{platform.node()} {machine} {folder.st_dev} {folder.st_ino}"


def is_awaited(mark: Mark) -> bool:
    """Return whether the coordinator still waits; True where its folder cannot be seen."""
    folder, file = mark
    return folder != marks_folder() or Path(file).exists()


class RemoteAssignment(TypedDict):
    """An assignment with all of its run that counts on a worker."""

    agent: str
    place: str
    assignment: Assignment
    tools: dict[str, str] | None
    """Names and descriptions of a network's tools if the agent takes a turn there, None for plain work."""
    form: dict[str, object] | None
    """The JSON schema of the replies that a chat model is asked for, where the step `returns=` one."""
    context: object
    configurable: dict[str, object]
    tags: list[str]
    words: str
    """Words of the user and the program in this run."""
    budget: Spent | None
    retry: dict[str, Any]
    attempt: int
    timeout: float | None
    mark: NotRequired[Mark]
    """Set when it is sent."""


class RemoteReply(TypedDict):
    """The outcome of an order: either `outcome` or `error` is set."""

    outcome: Answer | handoffs.Turn | None
    error: Exception | None
    usage: Usage
    has_acted: bool
    """Whether a tool has begun, so that the assignment must not be repeated."""
    faults: list[FailedAttempt]


def work_on(agent: str, order: bytes) -> bytes:
    """Do an assignment of an agent on this machine; errors are in the reply, never raised."""
    asked = cast(RemoteAssignment, unpack(order))
    inside = InPlace(Retry(**asked["retry"]), attempt=asked["attempt"], timeout=asked["timeout"])
    tally = Tally(settings_from(asked["context"]).prices)
    outcome: Answer | handoffs.Turn | None = None
    error: Exception | None = None
    try:
        outcome = _outcome(agent, asked, inside, tally)
    except WorkCancelledError:
        error = TimeoutError(f"no answer within {asked['timeout'] or 0:g} s")
    except Exception as failure:
        frames = "".join(traceback.format_tb(failure.__traceback__)[-_FRAMES:])
        failure.add_note(f"In process {os.getpid()} of {platform.node()}:\n{frames}")
        error = failure
    reply: RemoteReply = {
        "outcome": outcome,
        "error": error,
        "usage": tally.usage,
        "has_acted": inside.has_acted or tally.tools_ran,
        "faults": inside.faults,
    }
    return pack(reply)


def _outcome(name: str, order: RemoteAssignment, inside: InPlace, tally: Tally) -> Answer | handoffs.Turn:
    team = team_at(order["place"])
    if name not in team:  # coordinator and worker run different code
        raise UnknownAgentError(f"This worker's {order['place']} has no agent {name!r}, but {', '.join(sorted(team))}")
    agent = team[name]
    if order["form"] is not None:
        agent = agent.returning(order["form"])
    tools = order["tools"]
    job: Runnable[Assignment, Answer | handoffs.Turn] = (
        agent if tools is None else handoffs.TakeTurn(agent, handoffs.turn_tools(tools))
    )
    scope, config = in_run_scope({"tags": order["tags"], "configurable": order["configurable"]})
    if own := run_scope(config):
        own.add_words(order["words"])
    config = with_rest(inside.holding(extended(config, callbacks=[tally])), order["budget"])
    asked = (job, name, order["assignment"])
    with scope, _while_awaited(order, config) as limited:
        graph = cast(Any, _in_graph)  # LangGraph types it for runs without a context
        return cast("Answer | handoffs.Turn", graph.invoke(asked, limited, context=run_context(order["context"])))


@contextmanager
def _while_awaited(order: RemoteAssignment, config: RunnableConfig) -> Iterator[RunnableConfig]:
    """Start no more calls when the coordinator waits no longer."""
    cancellation, ended = Cancellation(), threading.Event()
    until = time.monotonic() + (math.inf if order["timeout"] is None else order["timeout"])

    def watch() -> None:
        while is_awaited(order["mark"]) and time.monotonic() < until:
            if ended.wait(min(_LOOK, max(0.0, until - time.monotonic()))):
                return
        cancellation.cancel()

    if not is_awaited(order["mark"]):
        raise WorkCancelledError
    threading.Thread(target=watch, name="podium-awaited", daemon=True).start()
    try:
        yield cancellation.holding(config)
    finally:
        ended.set()


@entrypoint()
def _in_graph(asked: tuple[Runnable[Assignment, Answer | handoffs.Turn], str, Assignment]) -> Answer | handoffs.Turn:
    """Do the work where it finds LangGraph's runtime: the context, a stream, a question that can be noticed."""
    job, name, assignment = asked
    config = get_config()
    try:
        return cast("Answer | handoffs.Turn", within_budget(job, config).invoke(assignment, config))
    except GraphInterrupt:
        raise AgentError(
            f"Agent {name!r} asks a person, and a question cannot leave a worker: its run there has no thread to wait"
            " in. Keep this agent in the coordinator's process, or have it decide without a person"
        ) from None


@cache
def team_at(place: str) -> Mapping[str, Agent]:
    """Return the agents at `module:attribute`, which is a list of agents or a function that returns one, by name.

    Raises:
        ConfigurationError: The place does not exist, or has no agents.
    """
    value = load_named(place)
    return team_of(value() if callable(value) else value)


def pack(value: object) -> bytes:
    """Return a value as bytes.

    Raises:
        Exception: Something in it cannot be pickled.
    """
    packed = io.BytesIO()
    _Pickler(packed).dump(value)
    return packed.getvalue()


def unpack(packed: bytes) -> object:
    """Return the value of some bytes; its classes are imported, so read only what a worker of yours wrote."""
    return pickle.loads(packed)  # noqa: S301 - the executor reads its own pickles from the same sender


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        """Take an error apart into its class, arguments, cause and the attributes that decide about retries."""
        if not isinstance(value, Exception):
            return NotImplemented
        kind = type(value)
        judged_by = {**evidence(value), **vars(value)}
        attributes = {name: item for name, item in judged_by.items() if item and _is_plain(item)}
        is_group = isinstance(value, ExceptionGroup)
        args = value.args if is_group else tuple(arg if _is_plain(arg) else str(arg) for arg in value.args)
        return _error, (f"{kind.__module__}:{kind.__qualname__}", args, attributes, value.__cause__, _judged(value))


def _error(
    name: str, args: tuple[Any, ...], attributes: Mapping[str, object], cause: BaseException | None, judged: _Judged
) -> Exception:
    """Return the error: of its own class if it reads the same here, else a `TransientError` or `AgentError`."""
    _, explained, transient = judged
    try:
        module, _, path = name.partition(":")
        kind = attrgetter(path)(import_module(module))
        error = _restored(kind.__new__(kind, *args), attributes, cause)  # without __init__, which wants the response
        if _judged(error) == judged:
            return error
    except Exception:  # noqa: S110 - its class is not here, or needs more than data
        pass
    return _restored((TransientError if transient else AgentError)(explained), attributes, cause)


def _restored(error: Exception, attributes: Mapping[str, object], cause: BaseException | None) -> Exception:
    for name, item in attributes.items():
        BaseException.__setattr__(error, name, item)  # also where its class forbids attributes
    error.__cause__ = cause
    return error


def _judged(error: Exception) -> _Judged:
    return str(error), explain(error), is_transient(error)


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
