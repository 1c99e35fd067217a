"""Assignments: what an agent gets as data, how that becomes messages for a chat model, and how words are quoted."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Required

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately
from typing_extensions import TypedDict

from agents.errors import ConfigurationError
from agents.runtime import is_async, reads_foreign_text
from agents.settings import HISTORY_TOKENS

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w[\w.\-]*)\}")
_REQUEST = "Request, for orientation"
_FIGURES = "Results by name, for calculations"
_DISPLAY = {
    "best_version": "Best version so far",
    "last_version": "Your last version, not accepted; write it again, complete, and change what the feedback says",
    "feedback": "Feedback",
}
"""Display text of context labels; all others (step ids, agent names, plain words) stand for themselves."""
_SPEAKERS = {"human": "User", "ai": "Assistant", "system": "System", "tool": "Tool"}
_QUOTED_REQUEST = re.compile(rf"{_REQUEST}[^\n]*:\n(`{{3,}})\n(.*?)\n\1(?:\n\n|\Z)", re.DOTALL)
YOUR_TASK = "Your task: "
"""Prefix of the task in a message that holds more than the task."""
_BYTES_PER_TOKEN = 3
"""Estimate for UTF-8 text: cautious for English (about 4), right for Chinese, where a token is about one character."""

ContentPart = str | dict[Any, Any]
"""A content block of a message."""

History = Literal["full", "last"] | int | Callable[[list[BaseMessage]], Sequence[BaseMessage]]
"""Part of the conversation before the request that is passed on: all, nothing, so many messages, or a choice."""


class Assignment(TypedDict, total=False):
    """A task for an agent, with everything that it needs to know for it."""

    task: Required[str]
    template: str
    """The task before `{request}` and `{label}` were filled in; chat models get those as fenced data instead.

    It is ignored unless filling it in gives the task, so that code may change the task alone.
    """
    context: dict[str, str]
    """The results this task depends on, as text, by step id or a label such as `best_version` or `feedback`."""
    data: dict[str, Any]
    """Results that are data (JSON or pydantic objects), by the same labels."""
    figures: dict[str, float]
    """The results of earlier calculations by name, which the calculator knows."""
    intermediate: bool
    """Whether the result is for other agents only, so that figures need not be put into words."""
    request: HumanMessage
    """The user's own message with its pictures and files."""
    conversation: list[BaseMessage]
    """Messages before the request, in their roles."""


Asked = Assignment | str
"""The input of an agent; a text stands for its task."""


def as_assignment(value: Asked) -> Assignment:
    """Return what an agent is asked as an assignment; raise a `ConfigurationError` if it is neither that nor a text."""
    if isinstance(value, str):
        return {"task": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("task"), str):
        raise ConfigurationError(f'An agent is asked by a text or {{"task": text, …}}, not {value!r:.80}')
    return value


def placeholders(template: str) -> list[str]:
    """Return the names that a template quotes as `{name}`; `{{` and `}}` are plain braces."""
    return [match[1] for match in _PLACEHOLDER.finditer(template) if match[1]]


@reads_foreign_text(lambda read, text: read(text, {"a": text[:99]}))
def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders of a template; those without a value stay as they are."""

    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else values.get(match[1], match[0])

    return _PLACEHOLDER.sub(value, template)


def put_into(template: str, name: str, inner: str) -> str:
    """Return a template with another one in place of a placeholder."""
    return _PLACEHOLDER.sub(lambda match: inner if match[1] == name else match[0], template)


def escaped(text: str) -> str:
    """Return a template that gives a text as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def with_task(assignment: Assignment, form: Callable[[str], str]) -> Assignment:
    """Return an assignment with another task, which `form` makes of the task, and of its template where it has one."""
    changed: Assignment = {**assignment, "task": form(assignment["task"])}
    return {**changed, "template": form(assignment["template"])} if "template" in assignment else changed


def task_for_model(assignment: Assignment) -> str:
    """Return the task with labels in place of what it quotes, which a chat model gets as fenced data beside it."""
    task, template, context = assignment["task"], assignment.get("template"), assignment.get("context", {})
    request = assignment.get("request") or HumanMessage("")
    if template is None or fill(template, {**context, "request": str(request.text)}) != task:
        return task
    return fill(template, {**{label: f"[{_DISPLAY.get(label, label)}]" for label in context}, "request": "[request]"})


@reads_foreign_text(lambda read, text: read("label", text))
def quote(label: str, text: str) -> str:
    """Quote a text as data below its label, in a fence that the text itself cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{label}:\n{fence}\n{text}\n{fence}"


def quote_conversation(messages: Sequence[BaseMessage]) -> str:
    """Quote a conversation as data, each message in a fence of its own: nobody can speak as another."""
    words = ((_SPEAKERS.get(message.type, "Assistant"), message.text) for message in messages)
    return "\n\n".join(quote(speaker, text) for speaker, text in words if text.strip())


def messages_of(assignment: Assignment, *, max_tokens: int = HISTORY_TOKENS) -> list[BaseMessage]:
    """Write an assignment as messages for a chat model: the conversation in its roles, then one message.

    That message holds request, context and task, and the pictures and files of the request. What differs least between
    calls comes first, for prompt caches. Text alone is a plain string.
    `max_tokens` is the limit of the conversation; see `settings.max_history_tokens`.
    """
    return [*cut_history(assignment.get("conversation", ()), max_tokens), HumanMessage(_content(assignment))]


@reads_foreign_text()
def message_parts(text: str) -> tuple[str, str, str]:
    """Return the request, the context and the task in a message that `messages_of` has written."""
    above, _, task = text.rpartition(YOUR_TASK)
    request = _QUOTED_REQUEST.match(above)
    return (request[2], above[request.end() :], task) if request else ("", above, task)


def users_words(assignment: Assignment) -> list[str]:
    """Return what the user wrote, oldest first: messages of the conversation and the request."""
    messages = [*assignment.get("conversation", ()), assignment.get("request")]
    return [message.text for message in messages if isinstance(message, HumanMessage)]


def _content(assignment: Assignment) -> str | list[ContentPart]:
    task, request = assignment["task"], assignment.get("request") or HumanMessage("")
    is_request = request.text.strip() == task.strip()
    if not is_request:
        task = task_for_model(assignment)
    labels: dict[str, list[str]] = {}  # equal texts are quoted once, under all their labels
    if request.text.strip() not in task:  # word for word, so that it need not be quoted too
        labels[request.text] = [_REQUEST]
    figures = "\n".join(f"{name} = {figure:.15g}" for name, figure in assignment.get("figures", {}).items())
    context = {**assignment.get("context", {}), **({_FIGURES: figures} if figures else {})}
    for label, text in context.items():
        labels.setdefault(text, []).append(_DISPLAY.get(label, label))
    quotes = [quote(", ".join(names), text) for text, names in labels.items()]
    files = files_of(request)
    if is_request and files:
        above: list[ContentPart] = [{"type": "text", "text": "\n\n".join(quotes)}] if quotes else []
        return [*above, *request.content]
    text = "\n\n".join([*quotes, f"{YOUR_TASK}{task}"]) if quotes or files else task
    return [*files, {"type": "text", "text": text}] if files else text


def files_of(message: BaseMessage) -> list[ContentPart]:
    """Return the parts of a message that are not text: pictures, sound, files."""
    parts: list[ContentPart] = [] if isinstance(message.content, str) else message.content
    return [part for part in parts if isinstance(part, dict) and part.get("type") != "text"]


def check_history(history: History) -> History:
    """Return a `history=`; raise a `ConfigurationError` if it is none of the four kinds."""
    is_number = isinstance(history, int) and not isinstance(history, bool) and history >= 0
    if not (history in ("full", "last") or is_number or (callable(history) and not is_async(history))):
        raise ConfigurationError(
            "history must be 'full', 'last', a number of messages from 0 up or a sync function of messages, not"
            f" {history!r}"
        )
    return history


def select_history(conversation: Sequence[BaseMessage], history: History) -> list[BaseMessage]:
    """Return what is passed on of the conversation before a request; the caller's system messages always are."""
    if history == "full":
        return list(conversation)
    if callable(history):
        return list(history(list(conversation)))
    number = 0 if history == "last" else int(history)
    rules = [message for message in conversation if isinstance(message, SystemMessage)]
    others = [message for message in conversation if not isinstance(message, SystemMessage)]
    return [*rules, *others[len(others) - number if number < len(others) else 0 :]]


def cut_history(messages: Sequence[BaseMessage], max_tokens: int) -> list[BaseMessage]:
    """Keep the newest messages within a number of tokens, system messages first and always.

    A tool call stays together with its results; one without results, which no provider accepts, and empty messages
    are left out.
    """
    if not messages:
        return []
    rules = [message for message in messages if isinstance(message, SystemMessage)]
    others = _whole([message for message in messages if not isinstance(message, SystemMessage)])
    room = max_tokens - count_tokens(rules)
    kept = trim_messages(others, max_tokens=max(room, 0), token_counter=count_tokens, start_on=("human", "ai"))
    return [*rules, *kept]


def _whole(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    calls: set[str | None] = set()
    whole: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, AIMessage) and message.tool_calls:
            ids = {call["id"] for call in message.tool_calls}
            if not ids <= answered:
                continue
            calls |= ids
        elif message.tool_call_id not in calls if isinstance(message, ToolMessage) else not message.content:
            continue
        whole.append(message)
    return whole


def count_tokens(messages: Sequence[BaseMessage]) -> int:
    """Estimate the tokens of messages in any language; a model's own counter may be slow, or ask a server."""
    text = "".join(message.text for message in messages)
    bytes_per_character = len(text.encode("utf-8", "replace")) / len(text) if text else 1
    return count_tokens_approximately(messages, chars_per_token=_BYTES_PER_TOKEN / bytes_per_character)
