"""A chat model that records a real conversation once, and replays it from then on without a network.

Flow: describe the call -> (record) ask the real model, keep the reply | (replay) find the prompt, give its reply.
"""

from __future__ import annotations

import builtins
import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import PrivateAttr

from agents.errors import ConfigurationError, StorageError
from agents.models import chat_model
from agents.runtime import is_transient, masked
from agents.testing.conversation import Conversation, Exchange, as_yaml, read, written
from agents.testing.replies import Call, Reply
from agents.testing.scripted import ScriptedModel, ScriptError

RECORD = "PODIUM_RECORD"
"""The environment variable that has every `RecordedModel` record anew: `1`."""

VOLATILE = (
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?\b",
    r"\b\d\d:\d\d:\d\d(\.\d+)?\b",
)
"""What may differ in a prompt: UUIDs, dates and times of day in ISO form."""

_MOST_LINES = 60
"""Lines of a difference that an error shows."""

Real = BaseChatModel | str | Callable[[], BaseChatModel] | None


class RecordingError(ScriptError, StorageError):
    """The recording does not hold what was asked; never retried, and it ends a run at once."""


class RecordedFault(Exception):  # noqa: N818 - it is raised under the name of the error that was recorded
    """An error of the real model, as it was recorded."""

    status_code: int | None = None


class RecordedModel(ScriptedModel):
    """Ask a real model and keep the conversation in a file; once there is one, answer from it, without the model.

        with RecordedModel("tests/haiku.yaml", "openai:gpt-5-mini") as model:
            assert "rain" in Agent("poet", instructions="You write haiku.", model=model).invoke("Rain")["text"]

    A prompt is found by what it says, so calls may come in any order; the same prompt twice gets its replies in
    order. Leaving the `with` block checks that every exchange was used. The real model's transient faults (rate
    limits, time-outs) and refused keys are not recorded; other errors are, and raised again.

    Args:
        path: The file, which is made if it does not exist.
        model: The real model, its name as `provider:model`, or a function that makes it: as that needs a key perhaps,
            it is called only to record. None: replay only.
        record: True: record anew; False: only replay; None: as `PODIUM_RECORD` says, else if there is no file.
        volatile: Regular expressions of what may differ between a prompt and its recording.

    Raises:
        ConfigurationError: There is neither a file nor a model to record.
        RecordingError: (when called) a prompt that is not in the file, with the difference to the nearest one.
    """

    _recording: Recording = PrivateAttr()

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: Real = None,
        *,
        record: bool | None = None,
        volatile: Sequence[str] = VOLATILE,
    ) -> None:
        file = Path(path)
        if record is None:
            record = not file.exists() or (model is not None and os.environ.get(RECORD, "") not in ("", "0"))
        real = _made(model) if record else None
        if real is None and (record or not file.exists()):
            raise ConfigurationError(f"There is no model to record to {file}: give the real model, or the file")
        recording = Recording(file, real, volatile)
        told = recording.conversation
        super().__init__(model_name=told.model, profile=told.profile)
        self._script = self._recording = recording

    @property
    def _llm_type(self) -> str:
        return "recorded"

    def assert_all_used(self) -> None:
        """Check that every exchange in the file was asked for; while recording there is nothing to check.

        Raises:
            RecordingError: Some were not, or a call failed because the recording did not hold it.
        """
        self._recording.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What failed in the block may have failed because of a prompt that is not in the file.
        if error is None:
            self.assert_all_used()
        elif (missed := self._recording.missed) and error is not missed:
            raise missed from error


class Recording:
    """The conversation of a `RecordedModel`, being recorded or replayed; one object for all copies of the model."""

    def __init__(self, path: Path, real: BaseChatModel | None, volatile: Sequence[str]) -> None:
        self.calls: list[Call] = []
        self.missed: RecordingError | None = None
        """The first prompt that the file did not hold."""
        self._path = path
        self._real = real
        self._volatile = re.compile("|".join(f"(?:{one})" for one in volatile)) if volatile else None
        self._lock = Lock()
        if real is None:
            self.conversation = Conversation.load(path)
        else:
            name = getattr(real, "model_name", None) or getattr(real, "model", None) or type(real).__name__
            abilities = {able: known for able, known in (real.profile or {}).items() if isinstance(known, bool)}
            self.conversation = Conversation(model=str(name), profile=abilities)
        self._left = list(self.conversation.exchanges)
        self._keys = [self._key(one) for one in self._left]

    def __deepcopy__(self, memo: dict[int, Any]) -> Recording:
        return self

    def reply_to(self, call: Call) -> Reply:
        """Replay or record a call."""
        exchange = self._noted(call)
        if self._real is None:
            return self._replayed(exchange)
        try:
            with _apart():
                return self._kept(exchange, _asking(self._real, call).invoke(call.messages))
        except Exception as error:
            self._keep_error(exchange, error)
            raise

    async def areply_to(self, call: Call) -> Reply:
        """Replay or record a call."""
        exchange = self._noted(call)
        if self._real is None:
            return self._replayed(exchange)
        try:
            with _apart():
                return self._kept(exchange, await _asking(self._real, call).ainvoke(call.messages))
        except Exception as error:
            self._keep_error(exchange, error)
            raise

    def check(self) -> None:
        """Raise the first miss, or say what was not used."""
        if self.missed is not None:
            raise self.missed
        if self._real is None and self._left:
            every = len(self.conversation.exchanges)
            first = as_yaml(self._left[0].prompt[-1:]).strip()
            raise RecordingError(f"{self._path}: {len(self._left)} of {every} exchanges were not used, first:\n{first}")

    def _noted(self, call: Call) -> Exchange:
        with self._lock:
            self.calls.append(call)
            exchange = self.conversation.exchange(call)
            if self._real is not None:
                self.conversation.exchanges.append(exchange)
            return exchange

    def _replayed(self, asked: Exchange) -> Reply:
        key = self._key(asked)
        with self._lock:
            if key not in self._keys:
                missed = RecordingError(self._difference(asked, key))
                self.missed = self.missed or missed
                raise missed
            number = self._keys.index(key)
            del self._keys[number]
            found = self._left.pop(number)
        return Reply(error=_fault(found.error)) if found.error else read(found.reply)

    def _kept(self, exchange: Exchange, answer: Any) -> Reply:
        message: AIMessage = answer["raw"] if isinstance(answer, dict) else answer
        exchange.reply = written(message)
        self._save()
        return read(exchange.reply)

    def _keep_error(self, exchange: Exchange, error: Exception) -> None:
        status = getattr(error, "status_code", None)
        if is_transient(error) or status in (401, 402, 403):
            return  # what a later run may not meet, and what may quote a key
        exchange.error = {"kind": type(error).__name__, "message": masked(str(error))}
        if status:
            exchange.error["status_code"] = status
        self._save()

    def _save(self) -> None:
        with self._lock:
            ended = [one for one in self.conversation.exchanges if one.reply or one.error]
            self.conversation.model_copy(update={"exchanges": ended}).save(self._path)

    def _key(self, exchange: Exchange) -> str:
        return json.dumps(self._asked(exchange), sort_keys=True, ensure_ascii=False)

    def _asked(self, exchange: Exchange) -> Any:
        return self._steady(self.conversation.asked(exchange))

    def _steady(self, value: Any) -> Any:
        """Put a mark in place of what may differ."""
        if isinstance(value, dict):
            return {self._steady(name): self._steady(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._steady(one) for one in value]
        return self._volatile.sub("…", value) if isinstance(value, str) and self._volatile else value

    def _difference(self, asked: Exchange, key: str) -> str:
        known = [(self._key(one), one) for one in self.conversation.exchanges]
        if times := sum(one == key for one, _ in known):
            last = as_yaml(asked.prompt[-1:]).strip()
            return f"{self._path} holds this prompt {times} times, and it was asked once more:\n{last}\n{_ANEW}"
        if not known:
            return f"{self._path} holds no exchange. {_ANEW}"
        words = re.findall(r"\w+", key)
        alike = [difflib.SequenceMatcher(None, re.findall(r"\w+", one), words).quick_ratio() for one, _ in known]
        nearest = known[alike.index(max(alike))][1]
        recorded, now = (as_yaml(self._asked(one)).splitlines() for one in (nearest, asked))
        lines = list(difflib.unified_diff(recorded, now, "recorded", "asked", lineterm="", n=2))
        shown = "\n".join([*lines[:_MOST_LINES], *(["..."] if len(lines) > _MOST_LINES else [])])
        return f"{self._path} does not hold what was asked; the nearest prompt differs in:\n{shown}\n{_ANEW}"


_ANEW = f"If that is meant, record anew: set {RECORD}=1 and have access to the model."


@contextmanager
def _apart() -> Iterator[None]:
    """Have the real model's call not counted and streamed beside that of the `RecordedModel`, by the same callbacks."""
    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _made(model: Real) -> BaseChatModel | None:
    if model is None or isinstance(model, BaseChatModel):
        return model
    return chat_model(model) if isinstance(model, str) else model()


def _asking(real: BaseChatModel, call: Call) -> Runnable[Any, Any]:
    """Have the real model asked in its own way for what was asked in OpenAI's."""
    asked = dict(call.kwargs)
    tools, form = asked.pop("tools", None), asked.pop("response_format", None)
    if call.stop:
        asked["stop"] = call.stop
    if not tools and form and form.get("type") == "json_schema":
        schema = {"title": form["json_schema"]["name"], **form["json_schema"]["schema"]}
        return real.with_structured_output(schema, method="json_schema", include_raw=True, **asked)
    if form:
        asked["response_format"] = form
    return real.bind_tools(tools, **asked) if tools else real.bind(**asked)


def _fault(kept: dict[str, Any]) -> Exception:
    """Make an error that has the name of the recorded one, and is one of Python's own if that was."""
    kind = getattr(builtins, kept["kind"], None)
    bases = (RecordedFault, kind) if isinstance(kind, type) and issubclass(kind, Exception) else (RecordedFault,)
    error: RecordedFault = type(kept["kind"], bases, {})(kept["message"])
    error.status_code = kept.get("status_code")
    return error
