"""An agent: one Runnable for every kind of worker, from an assignment to an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Self, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.constants import TAG_NOSTREAM
from langgraph.store.base import BaseStore
from pydantic import BaseModel

from agents.answer import Answer, read_answer, usage_of_reply, with_figures
from agents.arguments import check_arguments
from agents.assignment import Asked, Assignment, as_assignment, users_words
from agents.checks import Check, Guardrails, sent_back
from agents.errors import AgentError, ConfigurationError
from agents.runtime import (
    CALCULATED,
    AnyRunnable,
    Effects,
    Names,
    SyncAsyncStream,
    extended,
    handlers_of,
    in_place,
    in_run_scope,
    names_for,
    run_scope,
)
from agents.settings import settings
from agents.tools import NO_USER, memory_tools, user_of
from agents.usage import Tally, Usage
from agents.workers import MAX_TURNS, ChatModelWorker, FunctionWorker, GraphWorker, Toolset, newly_written, written

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware

    AnyMiddleware = AgentMiddleware[Any, Any]

__all__ = ["Agent", "Answer"]

T = TypeVar("T")


class Agent(SyncAsyncStream[Asked, Answer]):
    """A named worker: one of a chat model with instructions, a Runnable or graph, or a function.

    A function gets the task's text and, where it has parameters of these names, `context` (results: data where they
    have any, else text), `data`, `request` (text), `message`, `conversation` and `config`; it may be async. A pattern
    of ours gets the assignment as it is, a chat model its messages, any other Runnable `{"messages": [...]}`.

    Args:
        name: An identifier, unique in its team.
        description, examples: What it is for, and requests it is right for: planners and routers choose by them.
        instructions: The system prompt of a chat model.
        model: Its chat model, or `provider:model`; None for that of the run.
        tools: LangChain tools, functions with type hints and a docstring, or the tools of a server (`MCPTools`).
        middleware: LangChain's own or yours, around the model and the tools.
        max_turns: Model calls in one assignment before an agent with tools is stopped as going in circles.
        response_format: The form of its reply, whose JSON is then the answer's `data`.
        memory: A LangGraph store of facts about the user: the model gets the tools `remember` and `recall`, and the
            run needs a `user_id` in its context or config.
        runnable, function: The worker, in place of the seven above.
        checks: Guardrails without a model, for any kind of worker, before and after its work; see `Check`. A chat model
            whose answer does not pass is asked once more, with what is wrong.

    Raises:
        ConfigurationError: The name is not an identifier, or there is more than one kind of worker.
        AgentError: (when called) the worker gave no usable answer, or a check did not pass.
    """

    def __init__(
        self,
        name: str,
        description: str = "",
        *,
        instructions: str = "",
        model: BaseChatModel | str | None = None,
        tools: Sequence[BaseTool | Toolset | Callable[..., object]] = (),
        middleware: Sequence[AnyMiddleware] = (),
        max_turns: int = MAX_TURNS,
        response_format: type[BaseModel] | dict[str, object] | None = None,
        memory: BaseStore | None = None,
        runnable: AnyRunnable | None = None,
        function: Callable[..., object] | None = None,
        checks: Sequence[Check] = (),
        examples: Sequence[str] = (),
    ) -> None:
        check_arguments(name, locals())
        self.name: str = name
        self.description = description
        self.examples = tuple(examples)
        self.instructions, self.model = instructions, model
        self._tools = tuple(tools)
        self.middleware = tuple(middleware)
        self._inner: tuple[AnyMiddleware, ...] = ()
        self._tools_end = False
        self.max_turns = max_turns
        self.response_format, self.memory = response_format, memory
        self.runnable, self.function = runnable, function
        self.checks = checks
        self._build()

    def _build(self) -> None:
        self.guardrails = Guardrails(self.checks)
        self.worker = self._worker()
        self.takes_tools = self.is_chat_model
        """Whether `with_tools` can give it tools."""

    def _worker(self) -> FunctionWorker | GraphWorker | ChatModelWorker:
        if self.function is not None:
            return FunctionWorker(self.function)
        if self.runnable is not None:
            return GraphWorker(self.runnable)
        return ChatModelWorker(
            self.name,
            self.instructions,
            self.model,
            self._tools if self.memory is None else (*self._tools, *memory_tools(self.memory)),
            self.response_format,
            self.middleware,
            inner=self._inner,
            max_turns=self.max_turns,
            tools_end=self._tools_end,
        )

    @property
    def is_chat_model(self) -> bool:
        """Whether this is a chat model, not a Runnable or a function."""
        return isinstance(self.worker, ChatModelWorker)

    @property
    def tools(self) -> list[BaseTool]:
        """The tools of a chat model, those of its memory included; not those that its provider runs."""
        tools = self.worker.tools if isinstance(self.worker, ChatModelWorker) else ()
        return [tool for tool in tools if isinstance(tool, BaseTool)]

    @property
    def has_tools(self) -> bool:
        """Whether a chat model has tools of any kind, or middleware, which may bring some."""
        worker = self.worker
        return isinstance(worker, ChatModelWorker) and bool(worker.tools or worker.toolsets or worker.middleware)

    def run(self, effects: Effects, value: Asked, config: RunnableConfig) -> Coroutine[Any, Any, Answer]:
        tally = in_place(config).tally_of(self) or Tally(settings().prices)
        return self.work(effects, value, config, tally, lambda reply, usage: None)

    async def work(
        self,
        effects: Effects,
        value: Asked,
        config: RunnableConfig,
        tally: Tally,
        instead: Callable[[object, Usage], T | None],
    ) -> Answer | T:
        """Do one assignment; `instead(reply, usage)` may read a worker's reply as something else than an answer."""
        assignment = as_assignment(value)
        scope, config = in_run_scope(config)
        config, figures = self.configured(config, tally, assignment)
        async with scope:
            with tally:
                await self._admit(effects, assignment, config)
                reply = await self.reply(effects, assignment, config, tally)
                for is_asked_again in (True, False) if self.is_chat_model else (False,):
                    usage = self.spent(reply, tally, config)
                    if (other := instead(reply, usage)) is not None:
                        return other
                    answer = self.answer(reply, usage)
                    wrong = await self.guardrails.wrong_in_answer(effects, answer["text"], answer["data"], assignment)
                    if not wrong:
                        return with_figures(answer, figures)
                    if is_asked_again:
                        reply = await self.reply(effects, sent_back(assignment, answer["text"], wrong), config, tally)
                raise AgentError(f"The answer of agent {self.name!r} did not pass: {' '.join(wrong)}", kind="check")

    async def _admit(self, effects: Effects, assignment: Assignment, config: RunnableConfig) -> None:
        """Raise if a check of the input does not pass, or if the agent has a memory and the run names no user."""
        if self.memory is not None and user_of(config) is None:
            raise ConfigurationError(NO_USER)
        if scope := run_scope(config):
            asked = users_words(assignment) or ([] if scope.words else [assignment["task"]])
            for words in (self.instructions, *asked):
                scope.add_words(words)
        if wrong := await self.guardrails.wrong_in_input(effects, assignment):
            raise AgentError(f"The task of agent {self.name!r} did not pass: {' '.join(wrong)}", kind="check")

    async def reply(self, effects: Effects, value: Assignment, config: RunnableConfig, tally: Tally) -> object:
        """Return what the worker itself gives back: a state without the messages it got, a message, data, text."""
        try:
            return await self._reply(effects, value, config)
        except Exception as error:
            if not self._does_without_tools(error, tally):
                raise
        return await self._reply(effects, value, config)

    async def _reply(self, effects: Effects, value: Assignment, config: RunnableConfig) -> object:
        runnable, asked = await self.worker.job(effects, value, config)
        return newly_written(await effects.invoke(runnable, asked, config), asked)

    def _does_without_tools(self, error: Exception, tally: Tally) -> bool:
        worker = self.worker
        return isinstance(worker, ChatModelWorker) and not tally.tools_ran and worker.does_without_tools(error)

    def answer(self, reply: object, usage: Usage) -> Answer:
        """Read an answer from a worker's reply, or raise why it is not one."""
        return read_answer(self.name, reply, usage, {tool.name for tool in self.tools if tool.return_direct})

    def spent(self, reply: object, tally: Tally, config: RunnableConfig) -> Usage:
        return usage_of_reply(reply, tally, config) if self.worker.reports_usage else tally.usage

    def with_tools(self, tools: Sequence[BaseTool], *middleware: AnyMiddleware) -> Agent:
        """Return a copy that also has these tools, which end its turn; only a chat model can have any."""
        end = not (self.has_tools or middleware or self.response_format)
        return self._with(_tools=(*self._tools, *tools), _inner=(*self._inner, *middleware), _tools_end=end)

    def returning(self, form: type[BaseModel] | dict[str, object]) -> Agent:
        """Return a copy that is asked for replies of a form; only an agent that `takes_tools` can be."""
        return self._with(response_format=form)

    def _with(self, **changes: object) -> Agent:
        copied = type(self).__new__(type(self))
        copied.__setstate__({**self.__getstate__(), **changes})
        return copied

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a copy that shares models and graphs: they hold clients and locks, which cannot be copied."""
        return copy(self)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the worker, which is built of the rest."""
        return {name: value for name, value in vars(self).items() if name not in ("worker", "guardrails")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._build()

    async def chunks(self, effects: Effects, value: Asked, config: RunnableConfig) -> AsyncIterator[object]:
        """Yield `{"delta": text}` for each piece of text as it is written, then the whole `Answer`.

        `{"void": text}` takes words back: the call that wrote them broke off, and is made again.
        """
        if self.function is not None or self.guardrails.of_answer:  # a word that has been shown cannot be taken back
            yield await self.run(effects, value, config)
            return
        tally, assignment = Tally(settings().prices), as_assignment(value)
        whole: object = None
        scope, own = in_run_scope(config)
        async with scope:
            own, figures = self.configured(in_place(own).holding(own), tally, assignment)
            with tally:
                await self._admit(effects, assignment, own)
                runnable, asked = await self.worker.job(effects, assignment, own)
                try:
                    async for piece, so_far in written(effects, runnable, asked, own):
                        whole = so_far
                        if piece:
                            yield piece
                    reply = newly_written(whole, asked)
                except Exception as error:
                    if not self._does_without_tools(error, tally):
                        raise
                    reply = await self._reply(effects, assignment, own)
                yield with_figures(self.answer(reply, self.spent(reply, tally, own)), figures)

    def configured(self, config: RunnableConfig, tally: Tally, assignment: Assignment) -> tuple[RunnableConfig, Names]:
        """Return the config of an assignment, whose calls are counted, and the names of its calculations."""
        names = names_for(config, assignment.get("figures", {}))
        if tally not in handlers_of(config):  # else `Attempts` has made the config for this one call
            config = extended(config, callbacks=[tally], configurable={CALCULATED: names})
        if self.guardrails.of_answer:
            config = extended(config, tags=[TAG_NOSTREAM])
        config["configurable"][CALCULATED] = names
        # A run named like a node would be taken for it by LangGraph, which streams the messages that nodes give back.
        config["run_name"] = f"agent:{self.name}"
        return config, names
