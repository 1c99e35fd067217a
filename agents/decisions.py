"""A model's typed decision: asked as JSON, repaired where it is broken, returned to the model where it is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import json_repair
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from agents.errors import ConfigurationError, DecisionError
from agents.models import model_of_run
from agents.runtime import Effects, SyncAsyncRunnable, Tally, Usage, check_reply, clean_data
from agents.settings import settings

_FENCED = re.compile(r"```+\w*\s*(?=[\[{])")
_ONLY_OBJECT = re.compile(r"(?:```+\w*\s*)?(\{.*\})(?:\s*```+)?", re.DOTALL)
_HARMLESS = ("Multiple top-level", "Empty key")
"""What json-repair's strict mode also objects to, though the value is plain to see."""

AGAIN = """That answer cannot be used: {mistake}
Answer again with one corrected JSON object and nothing else."""

IN_PLAIN_JSON = """Answer with one JSON object and nothing else, valid for this JSON schema:
{schema}"""


class Decided(TypedDict):
    """A decision: its JSON `value`, the `mistakes` made on the way to it, and what it cost."""

    value: dict[str, Any]
    mistakes: list[str]
    usage: Usage


def read_json(text: str) -> Any:
    """Read the JSON in a model's reply, fenced, surrounded by prose, cut off or slightly broken as it may be.

    Raises:
        DecisionError: There is no JSON, or it is broken so that its meaning would be a guess.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    fence = None if text.lstrip().startswith(("{", "[")) else _FENCED.search(text)
    # A lone backslash at the end is half of an escape that was cut off; strict mode tells repair from guesswork.
    body = (text[fence.end() :] if fence else text).rstrip("\\")
    try:
        json_repair.loads(body, strict=True)
    except ValueError as error:
        if not str(error).startswith(_HARMLESS):
            raise DecisionError(f"the JSON is broken: {error}") from error
    value = json_repair.loads(body)
    if value == "":
        raise DecisionError("there is no JSON in the reply")
    return value


def read_only_json(text: str) -> dict[str, Any]:
    """Read a reply that is one JSON object, fenced perhaps, and nothing else: what stands in prose may be a quotation.

    Raises:
        DecisionError: There is anything besides it, or it is broken; nothing is repaired, for that is guesswork.
    """
    found = _ONLY_OBJECT.fullmatch(text.strip())
    try:
        value = json.loads(found[1], strict=False) if found else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DecisionError("the reply is not one JSON object and nothing else")
    return value


class Decision(SyncAsyncRunnable[Sequence[BaseMessage], Decided]):
    """Asks a chat model for one object of a form, in the provider's structured output where it has one.

    What fails the form's validation goes back to the model with the reason, `attempts` replies at most. With
    `only_json` a reply that holds other text too is not a decision: it may only quote one. Errors show `name`.

    Raises:
        DecisionError: No reply was of the form.
        AgentError: The model refused, was filtered, or was cut off.
    """

    def __init__(
        self,
        form: type[BaseModel],
        *,
        model: BaseChatModel | str | None = None,
        attempts: int = 3,
        name: str = "",
        only_json: bool = False,
    ) -> None:
        if attempts < 1:
            raise ConfigurationError(f"A decision needs at least one attempt, not {attempts}")
        self.form = form
        self.model = model
        self.attempts = attempts
        self.name: str = name or form.__name__
        self._read_text: Callable[[str], Any] = read_only_json if only_json else read_json
        self._schema = {**form.model_json_schema(), "title": form.__name__, "additionalProperties": False}

    async def run(self, effects: Effects, value: Sequence[BaseMessage], config: RunnableConfig) -> Decided:
        """Ask until a reply is of the form."""
        tally = Tally(settings().prices)
        silent = RunnableConfig(tags=[TAG_NOSTREAM], run_name=f"decision:{self.name}")
        quiet = merge_configs(tally.watching(config), silent)
        messages = list(value)
        mistakes: list[str] = []
        with tally.counting():
            while len(mistakes) < self.attempts:
                reply = await self._ask(effects, messages, quiet)
                try:
                    return {"value": self._read(reply), "mistakes": mistakes, "usage": tally.usage}
                except DecisionError as error:
                    mistakes.append(str(error))
                    messages += [AIMessage(reply.text or json.dumps(_calls(reply))), _again(error)]
            raise DecisionError(f"{self.name}: no usable decision in {self.attempts} replies; {mistakes[-1]}")

    async def _ask(self, effects: Effects, messages: list[BaseMessage], config: RunnableConfig) -> AIMessage:
        model = await model_of_run(effects, self.model)
        try:
            structured = _structured(model, self._schema)
            reply = (await effects.invoke(structured, messages, config))["raw"]
        except Exception as error:
            if not _unsupported(error):
                raise
            asked = HumanMessage(IN_PLAIN_JSON.format(schema=json.dumps(self._schema)))
            reply = await effects.invoke(model, [*messages, asked], config)
        check_reply(reply, self.name)
        message: AIMessage = reply
        return message

    def _read(self, reply: AIMessage) -> dict[str, Any]:
        try:
            found = clean_data(_calls(reply) or self._read_text(reply.text))
        except ValueError as error:
            raise DecisionError(f"the JSON cannot be stored: {error}") from error
        candidates = [found, *reversed(found)] if isinstance(found, list) else [found]
        return _first_valid(candidates, lambda one: self.form.model_validate(one).model_dump(mode="json"))


def _structured(model: BaseChatModel, schema: dict[str, Any]) -> Runnable[Any, Any]:
    return model.with_structured_output(schema, method="json_schema", include_raw=True)


def _unsupported(error: Exception) -> bool:
    """Tell a model or endpoint that knows no structured output."""
    if isinstance(error, NotImplementedError):
        return True
    said = str(error)
    return getattr(error, "status_code", None) in (400, 404, 422) and (
        "response_format" in said or "json_schema" in said or "structured output" in said.lower()
    )


def _calls(reply: AIMessage) -> list[Any]:
    """Return the arguments of the tool calls by which some providers give structured output."""
    return [call["args"] for call in reply.tool_calls]


def _first_valid(candidates: Sequence[Any], validate: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    reason: DecisionError | None = None
    for candidate in candidates:
        try:
            return validate(candidate)
        except ValidationError as error:
            reason = reason or DecisionError(_reasons(error))
    raise reason or DecisionError("the reply holds no JSON object")


def _reasons(error: ValidationError) -> str:
    found = [f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in error.errors()]
    return "; ".join(found[:5])


def _again(error: DecisionError) -> HumanMessage:
    return HumanMessage(AGAIN.format(mistake=error))
