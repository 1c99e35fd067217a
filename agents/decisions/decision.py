"""A model's typed decision: asked as JSON, and returned to the model where it is wrong.

ask (structured output, or in words) -> read -> validate -> value | the mistake goes back, three replies at most
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from copy import copy
from typing import Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents.arguments import check_limits
from agents.decisions.forms import Form
from agents.decisions.json_replies import read_object
from agents.errors import DecisionError, EmptyReplyError
from agents.models import (
    UnstructuredError,
    as_chat_model,
    beginning_with,
    call_once,
    habits_of,
    is_same,
    is_streamed,
    model_of_run,
    read_reply,
    refuses_form,
    structured,
)
from agents.runtime import AnyRunnable, Effects, JsonObject, OwnRun, clean_data, extended, in_place
from agents.settings import settings
from agents.usage import Tally, Usage

AGAIN = """That answer cannot be used: {mistake}
Answer again with one corrected JSON object and nothing else."""

IN_WORDS = """Answer with one JSON object and nothing else, valid for this JSON schema:
{schema}"""

Listener = Callable[[str, bool], Awaitable[None]]


class Decided(TypedDict):
    """A decision: its JSON `value`, the `mistakes` made on the way to it, and what it cost."""

    value: JsonObject
    mistakes: list[str]
    usage: Usage


class Decision(OwnRun[Sequence[BaseMessage], Decided]):
    """Asks a chat model for one object of a form, in the provider's structured output where it has one.

    A reply that is not of the form goes back to the model with the reason; a fault that may pass is retried. Both
    count: after `attempts` replies without a decision it fails.

    Args:
        form: A pydantic model, or anything else that `Form` takes.
        model: Its chat model; None for that of the run.
        attempts: Replies in all.
        name: For errors and traces.
        whole: Whether a reply that was cut off is a mistake, where it else is completed.

    Raises:
        DecisionError: No reply was of the form; the message names each cause.
        AgentError: The model refused, was filtered, or was cut off.
    """

    def __init__(
        self,
        form: type[BaseModel] | JsonObject,
        *,
        model: BaseChatModel | str | None = None,
        attempts: int = 3,
        name: str = "",
        whole: bool = False,
    ) -> None:
        check_limits(1, attempts=attempts)
        self.form = Form(form)
        self.model = as_chat_model(model)
        self.attempts = attempts
        self.name: str = name or self.form.name
        self.whole = whole
        self._words = IN_WORDS.format(schema=json.dumps(self.form.schema))
        self._bound: tuple[object, AnyRunnable] | None = None
        self._listener: Listener | None = None

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        return f"decision:{self.name}"

    async def run(self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig) -> Decided:
        tally = Tally(settings().prices)
        silent = extended(config, callbacks=[tally], tags=[TAG_NOSTREAM])
        mistakes: list[str] = []
        with tally:
            decided = await self._decide(effects, value, mistakes, silent)
            return {"value": decided, "mistakes": mistakes, "usage": tally.usage}

    async def streams(self, effects: Effects) -> bool:
        """Return whether the model of this run writes its replies piece by piece."""
        return is_streamed(await model_of_run(effects, self.model))

    def heard_by(self, listener: Listener) -> Self:
        """Return a decision whose replies are streamed to a listener: (a piece of JSON, whether a reply begins)."""
        heard = copy(self)
        heard._listener = listener
        return heard

    async def _decide(
        self, effects: Effects, messages: Sequence[BaseMessage], mistakes: list[str], config: RunnableConfig
    ) -> JsonObject:
        model = await model_of_run(effects, self.model)
        inside = in_place(config)
        attempt = inside.attempt
        while True:
            asked = beginning_with(model, attempt - len(mistakes))  # a mistake goes back to the model that made it
            try:
                async with inside.turn(effects, model, attempt):
                    reply = await self._ask(effects, asked, messages, config, in_words=bool(mistakes))
            except Exception as error:
                attempt = await inside.again(effects, error, attempt)
                continue
            try:
                return self.read(reply)
            except DecisionError as error:
                mistakes.append(str(error))
                if attempt >= self.attempts:
                    causes = "; then: ".join(dict.fromkeys(mistakes))
                    raise DecisionError(f"{self.name}: no usable decision in {attempt} replies; {causes}") from error
                answered = AIMessage(reply.text or json.dumps(_calls(reply)))
                messages = [*messages, answered, HumanMessage(AGAIN.format(mistake=error))]
                attempt += 1

    async def _ask(
        self,
        effects: Effects,
        model: AnyRunnable,
        messages: Sequence[BaseMessage],
        config: RunnableConfig,
        *,
        in_words: bool,
    ) -> AIMessage:
        """Ask once: for structured output, or where the server refuses that or ignored it, in words."""
        words = _with_words(messages, self._words)

        async def ask(asked: AnyRunnable, sent: list[BaseMessage]) -> AIMessage:
            if self._listener is not None:
                return await self._heard(effects.stream(asked, sent, config), self._listener)
            reply: AIMessage = await effects.invoke(asked, sent, config)
            return reply

        habits = habits_of(model)
        refused = habits.form_in_words
        if not refused:
            try:
                first = words if in_words else messages
                reply = await call_once(model, first, lambda to, sent: ask(self._structured(to), sent), self.name)
                return read_reply(reply, self.name, calls=True)
            except Exception as error:
                if not refuses_form(error):
                    raise
                refused = not isinstance(error, UnstructuredError)
        reply = await call_once(model, words, ask, self.name)
        habits.form_in_words = refused
        return read_reply(reply, self.name)

    async def _heard(self, pieces: AsyncIterator[AIMessageChunk], listener: Listener) -> AIMessage:
        reply: AIMessageChunk | None = None
        async for piece in pieces:
            arguments = getattr(piece, "tool_call_chunks", ())  # which a fallback's reply, in one piece, has not
            await listener(piece.text or "".join(part["args"] or "" for part in arguments), reply is None)
            reply = piece if reply is None else reply + piece
        if reply is None:
            raise EmptyReplyError(f"The stream of the reply to {self.name!r} was empty; ask again.")
        return reply

    def _structured(self, model: object) -> AnyRunnable:
        bound = self._bound  # read once: runs with other models, in other threads, replace it
        if bound is None or not is_same(bound[0], model):
            try:
                self._bound = bound = (model, structured(model, self.form.schema))
            except (NotImplementedError, ValueError, TypeError) as error:
                raise UnstructuredError from error
        return bound[1]

    def read(self, reply: BaseMessage) -> JsonObject:
        """Return the decision in a reply.

        Raises:
            DecisionError: The reply has none, more than one, or one that is not of the form.
        """
        calls = _calls(reply)
        if len(calls) > 1:
            raise DecisionError("the reply holds several JSON objects")
        try:
            value = clean_data(calls[0] if calls else read_object(reply.text, whole=self.whole))
        except ValueError as error:
            raise DecisionError(f"the JSON cannot be stored: {error}") from error
        return self.form.read(value)


def _calls(reply: BaseMessage) -> list[JsonObject]:
    """Return the arguments of the tool calls by which some providers give structured output."""
    return [call["args"] for call in reply.tool_calls] if isinstance(reply, AIMessage) else []


def _with_words(messages: Sequence[BaseMessage], words: str) -> list[BaseMessage]:
    """Add some words to the last message, for servers that refuse two messages of the user in a row."""
    *before, last = messages
    if not isinstance(last, HumanMessage) or not isinstance(last.content, str):
        return [*messages, HumanMessage(words)]
    return [*before, last.model_copy(update={"content": f"{last.content}\n\n{words}"})]
