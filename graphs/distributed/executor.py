"""Agents whose assignments are worked on elsewhere, behind any executor: processes, Dask, Prefect, Ray, MPI.

assignment -> order, as bytes -> executor.submit(work_on, agent, order) -> reply, as bytes -> answer or error
"""

import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from copy import copy
from dataclasses import asdict
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from agents import Agent, AgentError, Answer, Assignment, ConfigurationError, TransientError
from agents.runtime import Effects, OwnRun, explain, extended, in_place, is_transient, run_scope
from agents.settings import Settings, context_of_run
from agents.usage import Tally, Usage, charge_earlier, no_usage, plausible
from graphs.decisions import handoffs
from graphs.distributed.remote_work import RemoteAssignment, RemoteReply, marks_folder, pack, team_at, unpack, work_on
from graphs.engine import spent

T = TypeVar("T")

_NOT_SENT = ("thread_id", "checkpoint", "__pregel", "__podium")
"""Beginnings of config keys that belong to the run here."""


@runtime_checkable
class Executor(Protocol):
    """Anything with `submit(function, *arguments)`."""

    def submit(self, function: Callable[..., bytes], /, *arguments: Any) -> Any:
        """Have a function called elsewhere, where it is imported by name.

        Its future has `add_done_callback` and `result`, and may have `cancel`.
        """
        ...


def on(executor: Executor | Callable[[], Executor], place: str) -> list[Agent]:
    """Return agents of the same names, descriptions and examples, whose assignments are worked on elsewhere.

    An assignment is done at least once: again if its worker dies, within the retries of the step. Nothing of it is
    streamed while it is worked on.

    Args:
        executor: An object with `submit`; or a function that makes it, which is called again when it is broken, as a
            `ProcessPoolExecutor` is after one of its processes has died.
        place: `module:attribute` of a list of agents, or of a function that returns one. Each worker imports the
            module, so it must be installed there in the same version; agents are never pickled.

    Raises:
        ConfigurationError: No agents are at that place, or the executor is something else.
    """
    if not isinstance(executor, Executor) and not callable(executor):
        raise ConfigurationError(f"on() needs an executor with submit(function, *arguments), not {executor!r:.80}")
    workers = Workers(executor)
    return [RemoteAgent(agent, place, workers) for agent in team_at(place).values()]


class Workers(OwnRun[RemoteAssignment, RemoteReply]):
    """Sends an order to an executor, one that a function makes again when it is broken, and waits for the reply."""

    def __init__(self, executor: Executor | Callable[[], Executor]) -> None:
        self._executor = executor if isinstance(executor, Executor) else None
        self._make = _none_other if isinstance(executor, Executor) else executor
        self._lock = threading.Lock()

    async def run(self, effects: Effects, value: RemoteAssignment, config: RunnableConfig) -> RemoteReply:
        """Return the reply.

        Raises:
            TransientError: The worker ended before it had replied.
            AgentError: What the agent is asked cannot leave this process, or the executor takes no more work.
        """
        with NamedTemporaryFile(prefix="podium-waits-") as file:
            try:
                order = pack({**value, "mark": (marks_folder(), file.name)})
            except Exception as error:
                raise AgentError(
                    f"What agent {value['agent']!r} is asked cannot be sent to a worker: {error}"
                ) from error
            # Executors are sync code: some block, or behave differently on an event loop.
            future = await effects.function(self._submit, value["agent"], order)
            ended = effects.event()
            future.add_done_callback(lambda future: ended.set())
            try:
                await ended.wait()
            except BaseException:
                # Work that has begun, or that a process pool has taken, notices that the mark is gone.
                getattr(future, "cancel", lambda: None)()
                raise
        try:
            return cast(RemoteReply, unpack(await effects.function(future.result)))
        except Exception as error:
            if not is_transient(error):
                raise
            raise TransientError(
                f"The worker of agent {value['agent']!r} ended without a reply: {explain(error)}"
            ) from error

    def _submit(self, agent: str, order: bytes) -> Any:
        with self._lock:
            self._executor = self._executor or self._make()
            try:
                return self._executor.submit(work_on, agent, order)
            except BrokenExecutor:
                self._executor = self._make()
                return self._executor.submit(work_on, agent, order)
            except RuntimeError as error:  # it is shut down
                raise AgentError(f"The executor takes no more work: {error}") from error


def _none_other() -> Executor:
    raise AgentError(
        "The process pool is broken: one of its processes died, and it starts no other. Pass on() a function that makes"
        " the pool, lambda: ProcessPoolExecutor(…), which is then called again"
    )


class RemoteAgent(Agent):
    """An agent whose work is done elsewhere, its checks included."""

    def __init__(self, agent: Agent, place: str, workers: Workers) -> None:
        vars(self).update(vars(agent))
        self.checks = ()
        self._build()
        self.takes_tools = agent.is_chat_model
        self.place = place
        self.workers = workers
        self.turn_tools: dict[str, str] = {}
        self.form: dict[str, object] | None = None

    @property
    def is_chat_model(self) -> bool:
        """False: the model, if there is one, is on the worker."""
        return False

    def with_tools(self, tools: Sequence[BaseTool], *middleware: object) -> Agent:
        """Return a copy that has the tools of a network by name there."""
        copied = copy(self)
        copied.turn_tools = {**self.turn_tools, **{tool.name: tool.description for tool in tools}}
        return copied

    def returning(self, form: type[BaseModel] | dict[str, object]) -> Agent:
        """Return a copy that is asked there for replies of a form."""
        copied = copy(self)
        copied.form = form if isinstance(form, dict) else form.model_json_schema()
        return copied

    async def run(self, effects: Effects, value: Assignment | str, config: RunnableConfig) -> Answer:
        return cast(Answer, await self._elsewhere(effects, value, config, None))

    async def work(
        self,
        effects: Effects,
        value: Assignment | str,
        config: RunnableConfig,
        tally: Tally,
        instead: Callable[[object, Usage], T | None],
    ) -> Answer | T:
        """Have one turn in a network done, which is an answer or a handoff; `instead` is called there."""
        return cast("Answer | T", await self._elsewhere(effects, value, config, self.turn_tools))

    async def chunks(self, effects: Effects, value: Assignment | str, config: RunnableConfig) -> AsyncIterator[object]:
        yield await self.run(effects, value, config)

    async def _elsewhere(
        self, effects: Effects, value: Assignment | str, config: RunnableConfig, tools: dict[str, str] | None
    ) -> Answer | handoffs.Turn:
        assignment: Assignment = {"task": value} if isinstance(value, str) else value
        order = self._order(assignment, config, tools)
        reply = await effects.invoke(self.workers, order, {**extended(config), "run_name": f"agent:{self.name}"})
        inside = in_place(config)
        inside.has_acted = inside.has_acted or reply["has_acted"]
        inside.faults += reply["faults"]
        outcome = reply["outcome"]
        charge_earlier(config, plausible(outcome["usage"] if outcome else reply["usage"]), no_usage())
        if outcome:
            return outcome
        error = reply["error"]
        assert error is not None  # noqa: S101 - for type checkers
        if not getattr(error, "usage", None):
            error.usage = reply["usage"]  # type: ignore[attr-defined]
        raise error

    def _order(self, assignment: Assignment, config: RunnableConfig, tools: dict[str, str] | None) -> RemoteAssignment:
        configurable: Mapping[str, object] = config.get("configurable", {})
        context, scope, inside = context_of_run(), run_scope(config), in_place(config)
        return {
            "agent": self.name,
            "place": self.place,
            "assignment": assignment,
            "tools": tools,
            "form": self.form,
            "context": dict(vars(context)) if type(context) is Settings else context,
            "configurable": {
                key: value
                for key, value in configurable.items()
                if not key.startswith(_NOT_SENT) and isinstance(value, str | int | float)
            },
            "tags": list(config.get("tags") or ()),
            "words": scope.words if scope else "",
            "budget": spent(config),
            "retry": asdict(inside.retry),
            "attempt": inside.attempt,
            "timeout": inside.timeout,
        }
