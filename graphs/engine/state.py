"""The state that every pattern shares: the messages, how the run stands, and what it was asked to do."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, convert_to_messages
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps
from langgraph.types import Interrupt, Overwrite
from typing_extensions import TypedDict, is_typeddict

from agents.assignment import Assignment, History, select_history
from agents.runtime import FailedAttempt, clean_data, explain, provider_words
from agents.usage import Usage, add_usage, no_usage
from graphs.engine.chat_stream import free_id, is_shown
from graphs.errors import BudgetError, ConfigurationError

KEPT = object()
"""Marks a state key that outlives a record: `Annotated[str, KEPT]`. All others begin empty with every new input."""

RUNNING = "running"
STATUSES = ("completed", "partial", "failed", "escalated", "needs_input", RUNNING)

NO_REQUEST = (
    'The request is missing: call the graph with {"messages": "text"}, or with a list that has a message of the user'
)

SumT = TypeVar("SumT", float, list[Any])


def added(before: SumT, new: SumT) -> SumT:
    """Add, like `operator.add`, whose signature LangGraph would parse from a text for every graph that it builds."""
    return before + new


class Problem(TypedDict):
    """One thing that went wrong: `where` it did, the `kind` of error, and a `message` in one sentence."""

    where: str
    kind: str
    message: str
    detail: NotRequired[str]
    """The provider's own words, without keys; they may quote the prompt."""
    recovered: NotRequired[bool]
    """True for a fault that passed when the call was repeated."""


class Worked(TypedDict):
    """A time during which a node was at work; `started` and `ended` in seconds since the epoch."""

    node: str
    agent: str
    """The agent at work, by the name under which its cost is booked; empty where a person was asked."""
    started: float
    ended: float


class Input(TypedDict):
    """The input of every graph; a plain string is accepted for `messages`."""

    messages: Annotated[list[AnyMessage], add_messages]


if TYPE_CHECKING:

    class _Interrupted(TypedDict, total=False):
        """The key that LangGraph adds to the result of a run that waits for a person."""

        __interrupt__: list[Interrupt]
else:

    class _Interrupted(TypedDict):
        """Not a key of the state."""


class PatternState(Input, _Interrupted):
    """The state of every pattern, and the result of its run."""

    status: str
    """`completed`, `partial`, `failed`, `escalated` or `needs_input`; `running` until then."""
    stop_reason: str | None
    """Why the run ended otherwise than completed, in one sentence."""
    errors: Annotated[list[Problem], added]
    usage: Annotated[Usage, add_usage]
    seconds: Annotated[float, added]
    """Seconds of work; waiting for a person or for a resume does not count."""
    worked: Annotated[list[Worked], added]
    assignment: Assignment | None
    """The assignment of an outer pattern; None where the request is in the messages."""
    since_request: list[AnyMessage]
    """Messages of other nodes of the caller's graph after the request."""
    code: dict[str, list[str]]
    """The fingerprint of the graph that began the run: its nodes, and the agents in them."""
    remaining_steps: RemainingSteps


PRIVATE = ("assignment", "since_request", "code", "remaining_steps")
"""State keys that are not part of a result."""


class Conclusion(TypedDict):
    """The end of a run: the text of its answer, and how it stands."""

    text: str
    message_id: NotRequired[str | None]
    """The id of the chat message that already shows the text, if there is one."""
    by: NotRequired[str]
    """The agent that wrote it, which becomes the name of the message."""
    status: str
    stop_reason: str | None


def open_input(
    input_: object, state: type, own: Mapping[str, object], *, request_optional: bool
) -> Mapping[str, object]:
    """Return an input with an empty record: every key of the state but the messages and those marked `KEPT`.

    Args:
        input_: What the caller passes.
        state: The state's TypedDict; its types say what empty means.
        own: Values that a pattern begins with.
        request_optional: Whether a run without a request makes sense, because its steps are known. As an agent of
            another pattern it always does: an empty item of a list is an assignment too.

    Raises:
        ConfigurationError: The request is missing.
    """
    if not isinstance(input_, Mapping):
        raise ConfigurationError(NO_REQUEST)
    messages = _as_messages(input_.get("messages", []))
    place = _place_of_request(messages)
    is_optional = request_optional or input_.get("assignment")
    if not is_optional and (place is None or not _asks_something(messages[place])):
        raise ConfigurationError(NO_REQUEST)
    after = messages[place + 1 :] if place is not None else []
    return {**empty_record(state), **own, "since_request": after, **input_, "messages": messages, "status": RUNNING}


def empty_record(state: type) -> Mapping[str, object]:
    """Return the values of a state that has no record yet; keys with a reducer are overwritten."""
    record: dict[str, Any] = {}
    for key, hint in hints_of(state).items():
        marks = getattr(hint, "__metadata__", ())
        if key in ("messages", "remaining_steps") or KEPT in marks:
            continue
        value = no_usage() if key == "usage" else _empty(hint)
        record[key] = Overwrite(value) if marks and callable(marks[-1]) else value
    return record


@cache
def hints_of(state: type) -> dict[str, Any]:
    """Return the types of a state's keys, with their marks."""
    return get_type_hints(state, include_extras=True)


def _empty(hint: object) -> object:
    origin = get_origin(hint)
    if origin in (Annotated, Required, NotRequired):
        return _empty(get_args(hint)[0])
    if origin in (Union, UnionType):
        return None
    if is_typeddict(hint):
        return {}
    kind = origin or hint
    makers: dict[object, Callable[[], object]] = {list: list, dict: dict, str: str, bool: bool, int: int, float: float}
    return makers[kind]() if kind in makers else None


def _as_messages(messages: Any) -> list[BaseMessage]:
    try:
        read = convert_to_messages(messages if isinstance(messages, list | tuple) else [messages])
        return [_cleaned(message) for message in read]
    except (ValueError, TypeError, NotImplementedError) as error:  # the last for what LangChain knows no message of
        raise ConfigurationError(f"The input's messages cannot be read: {error}") from error


def _cleaned(message: BaseMessage) -> BaseMessage:
    content = clean_data(message.content)
    return message if content == message.content else message.model_copy(update={"content": content})


def _place_of_request(messages: Sequence[object]) -> int | None:
    places = (place for place in range(len(messages) - 1, -1, -1) if isinstance(messages[place], HumanMessage))
    return next(places, None)


def _asks_something(message: BaseMessage) -> bool:
    """Return whether a message has text, or anything other than text: a picture alone may be a request."""
    return bool(message.text.strip()) or any(
        isinstance(part, dict) and part.get("type") != "text" for part in message.content
    )


def last_request(messages: Sequence[object]) -> HumanMessage:
    """Return the last message of a person, or an empty one."""
    requests = (message for message in reversed(messages) if isinstance(message, HumanMessage))
    return next(requests, HumanMessage("", id=""))


def assignment_of(state: Mapping[str, Any], history: History = "full") -> Assignment:
    """Return what a pattern is asked to do: the outer run's assignment, else the request with what was said before."""
    nested: Assignment | None = state.get("assignment")
    if nested:
        return {**nested, "conversation": select_history(nested.get("conversation", []), history)}
    messages = state["messages"]
    place = _place_of_request(messages)
    if place is None:
        return {"task": "", "context": {}, "conversation": []}
    return {
        "task": messages[place].text,
        "request": messages[place],
        "context": _notes(state.get("since_request") or ()),
        "conversation": select_history([message for message in messages[:place] if not is_shown(message)], history),
    }


def _notes(messages: Sequence[BaseMessage]) -> dict[str, str]:
    """Return what other nodes wrote after the request as context, by their name where they have one."""
    texts = [message for message in messages if message.text and not is_shown(message)]
    return {
        message.name if message.name and message.name.isidentifier() else f"note_{number}": str(message.text)
        for number, message in enumerate(texts, 1)
    }


def closing(
    messages: Sequence[BaseMessage], text: str, message_id: str | None = None, by: str | None = None
) -> AIMessage:
    """Return the message that ends a graph, under the id of the message that a model has streamed with this text.

    Chat front ends then show one message. An id that the thread has already would replace an earlier message.
    """
    return AIMessage(text, id=free_id(messages, message_id), name=by)


def problem(where: str, error: BaseException) -> Problem:
    """Return the record of an error."""
    record: Problem = {"where": where, "kind": type(error).__name__, "message": explain(error)}
    words = provider_words(error)
    return {**record, "detail": words} if words else record


def recovered(where: str, faults: Iterable[FailedAttempt]) -> list[Problem]:
    """Return the records of faults that passed when the call was repeated, one for each cause."""
    records: dict[str, Problem] = {}
    times: Counter[str] = Counter()
    for fault in faults:
        record = problem(where, fault.error)
        times[record["message"]] += 1
        often = f", {number} times" if (number := times[record["message"]]) > 1 else ""
        message = f"{record['message'].rstrip('.')}; tried again{often}"
        records[record["message"]] = {**record, "message": message, "recovered": True}
    return list(records.values())


def problems_inside(errors: Sequence[Mapping[str, object]], where: str) -> list[Problem]:
    """Return the problems of an agent's answer, with the place of the agent before theirs."""
    return [cast(Problem, {**error, "where": f"{where}/{error['where']}"}) for error in errors]


def ended_as(name: str, status: str, errors: Sequence[Problem]) -> str:
    """Return in one sentence how an agent has ended, with the last reason among the problems of a run."""
    own = [error for error in errors if error["where"].partition("/")[0] == name and not error.get("recovered")]
    return ": ".join([f"{name!r} ended as {status}", *(error["message"] for error in own[-1:])])


def out_of_budget(errors: Sequence[Problem]) -> bool:
    """Return whether a run ended because its budget was used up."""
    return any(error["kind"] == BudgetError.__name__ for error in errors)
