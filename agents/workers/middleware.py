"""Our middleware around LangChain's agent loop, composed with the user's.

    ToolErrors( user's( pattern's( ModelCalls | FormedAnswer ) ) )

The first is outermost: a user's middleware sees a tool's exception before it becomes an answer, and a model call after
it has been retried. The async hooks are functions that return coroutines: around an `async def`, LangChain starts two
threads per call, whether or not anything is traced.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, NotRequired, TypeVar

from langchain.agents.middleware import AgentMiddleware, AgentState, ExtendedModelResponse, ModelRequest, ModelResponse
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command

from agents.decisions import AGAIN, Decision
from agents.errors import AgentError, DecisionError
from agents.models import WrittenArguments, beginning_with, call_once, read_reply
from agents.runtime import AnyRunnable, Effects, current, effects_of, extended, in_place, run_in_background
from agents.workers.tool_calls import SyncTool, error_message, retried, without_calls

ModelReply = ModelResponse[object]
T = TypeVar("T")


class ToolErrors(AgentMiddleware[Any, Any]):
    """Makes a tool's exception an answer for the model, except interrupts and what ends the run."""

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], object]) -> Any:
        try:
            return handler(request)
        except BaseException as error:
            return error_message(error, request.tool_call)

    def awrap_tool_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        return self._answered(request, handler)

    async def _answered(self, request: Any, handler: Callable[[object], Awaitable[object]]) -> Any:
        try:
            return await handler(request)
        except BaseException as error:
            return error_message(error, request.tool_call)


class CountedState(AgentState[object]):
    """The agent's state, with the number of its model calls."""

    model_calls: NotRequired[Annotated[int, PrivateStateAttr]]


class ModelCalls(AgentMiddleware[Any, Any]):
    """Calls model and tools: each call normalised, retried by itself and checked; model calls up to a limit."""

    state_schema = CountedState

    def __init__(self, who: str, max_turns: int) -> None:
        super().__init__()
        self.who = who
        self.max_turns = max_turns

    def wrap_model_call(self, request: Any, handler: Callable[[Any], ModelReply]) -> Any:
        return _in_background(lambda effects: self._turn(effects, request, _in_thread(effects, handler)))

    def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[ModelReply]]) -> Any:
        return self._turn(Effects(), request, handler)

    async def _turn(
        self, effects: Effects, request: ModelRequest[Any], handler: Callable[[object], Awaitable[ModelReply]]
    ) -> ExtendedModelResponse[object]:
        state: Any = request.state
        calls = state.get("model_calls", 0)
        if calls >= self.max_turns:
            raise AgentError(f"Agent {self.who!r} gave no answer in {self.max_turns} model calls", kind="loop")
        inside = in_place(ensure_config())
        reply = await inside.call(effects, request.model, lambda attempt: self._call(request, handler, attempt))
        return ExtendedModelResponse(reply, Command(update={"model_calls": calls + 1}))

    async def _call(
        self, request: ModelRequest[Any], handler: Callable[[object], Awaitable[ModelReply]], attempt: int
    ) -> ModelReply:
        written = WrittenArguments()
        system = [] if request.system_message is None else [request.system_message]

        async def call(model: Any, sent: list[Any]) -> ModelReply:
            rules = sent[0] if isinstance(sent[0], SystemMessage) else None
            asked = request.override(model=model, messages=sent[1:] if rules else sent, system_message=rules)
            with current(extended(ensure_config(), callbacks=[written])):
                return await handler(asked)

        model = beginning_with(request.model, attempt)
        reply = await call_once(model, [*system, *request.messages], call, self.who)
        written.check(self.who)
        has_tools = bool(request.tools)
        messages = [
            read_reply(message, self.who, calls=has_tools) if isinstance(message, AIMessage) else message
            for message in reply.result
        ]
        return ModelResponse(result=messages, structured_response=reply.structured_response)

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], object]) -> Any:
        config = request.runtime.config
        asked = request if request.tool is None else request.override(tool=SyncTool(request.tool))
        return _in_background(lambda effects: retried(effects, config, lambda: _in_thread(effects, handler)(asked)))

    def awrap_tool_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        return retried(Effects(), request.runtime.config, lambda: handler(request))


class FormedAnswer(AgentMiddleware[Any, Any]):
    """Reads the last message as data of a form; where it is not, asks for that with the work before it."""

    def __init__(self, decision: Decision, asking: AnyRunnable) -> None:
        super().__init__()
        self.decision = decision
        self.asking = asking

    def after_agent(self, state: Any, runtime: object) -> dict[str, object]:
        return _in_background(lambda effects: self._form(effects, state["messages"]))

    async def aafter_agent(self, state: Any, runtime: object) -> dict[str, object]:
        return await self._form(Effects(), state["messages"])

    async def _form(self, effects: Effects, messages: list[Any]) -> dict[str, object]:
        try:
            return {"structured_response": self.decision.read(messages[-1])}
        except DecisionError as error:
            again = HumanMessage(AGAIN.format(mistake=error))
        asked: dict[str, object] = await effects.invoke(self.asking, [*without_calls(messages), again], None)
        return asked


def _in_background(work: Callable[[Effects], Coroutine[object, None, T]]) -> T:
    return run_in_background(lambda: work(effects_of(ensure_config())))


def _in_thread(effects: Effects, handler: Callable[[Any], T]) -> Callable[[Any], Awaitable[T]]:
    return lambda asked: effects.function(handler, asked)
