"""A chat model that records a real conversation once, and replays it from then on without a network.

Flow: describe the call -> (record) ask the real model, keep the reply | (replay) find the prompt, give its reply.
"""

from __future__ import annotations

import builtins
import difflib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import ensure_config
from pydantic import PrivateAttr

from agents.errors import ConfigurationError, StorageError
from agents.models import chat_model, model_name
from agents.runtime import AnyRunnable, JsonObject, current, effects_of, is_transient, masked
from agents.testing.conversation import Exchange, as_yaml, asked, kept, load, read, save
from agents.testing.replies import Call, Reply
from agents.testing.scripted import Script, ScriptedModel, ScriptError

RECORD = "PODIUM_RECORD"
"""The environment variable that has every `RecordedModel` record again: `1`."""

VOLATILE = (
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?\b",
    r"\b\d\d:\d\d:\d\d(\.\d+)?\b",
)
"""Parts of a prompt that may differ: UUIDs, dates and times of day in ISO form."""

_MAX_LINES = 60
"""Lines of a difference that an error shows."""

Real = BaseChatModel | str | Callable[[], BaseChatModel] | None


class RecordingError(ScriptError, StorageError):
    """The recording does not hold what was asked; never retried, and it ends a run at once."""


class RecordedFault(Exception):  # noqa: N818 - it is raised under the name of the error that was recorded
    """An error of the real model, as it was recorded."""

    status_code: int | None = None


class RecordedModel(ScriptedModel):
    """Ask a real model and keep the conversation in a file; answer from the file, without the model, once it exists.

        with RecordedModel("tests/haiku.yaml", "openai:gpt-5-mini") as model:
            assert "rain" in Agent("poet", instructions="You write haiku.", model=model).invoke("Rain")["text"]

    A prompt is found by what it says, so calls may come in any order; the same prompt twice gets its replies in
    order. Leaving the `with` block checks that every exchange was used. The real model's transient faults (rate
    limits, time-outs) and refused keys are not recorded; other errors are, and raised again.

    Args:
        path: The file, which is made if it does not exist.
        model: The real model, its name as `provider:model`, or a function that makes it, which may need a key and is
            called only to record. None: replay only.
        record: True: record again; False: only replay; None: as `PODIUM_RECORD` says, else only if the file is missing.
        volatile: Regular expressions of what may differ between a prompt and its recording.

    Raises:
        ConfigurationError: The file is missing, and so is a model to record.
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
        real = (chat_model(model) if isinstance(model, str) else model) if record else None
        real = real() if callable(real) and not isinstance(real, BaseChatModel) else real
        if real is None and (record or not file.exists()):
            raise ConfigurationError(f"A model to record to {file} is missing: give the real model, or the file")
        recording = Recording(file, real, volatile)
        noted = recording.conversation
        super().__init__(model_name=noted.get("model", "recorded"), profile=noted.get("profile", {}))
        self._script = self._recording = recording

    def assert_all_used(self) -> None:
        """Check that every exchange in the file was asked for; does nothing while recording.

        Raises:
            RecordingError: Some were not, or a call failed because the recording did not hold it.
        """
        self._recording.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # What failed in the block may have failed because of a prompt that is not in the file.
        if error is None:
            self.assert_all_used()
        elif (missed := self._recording.missed) and error is not missed:
            raise missed from error


class Recording(Script):
    """The conversation of a `RecordedModel`, being recorded or replayed."""

    def __init__(self, path: Path, real: BaseChatModel | None, volatile: Sequence[str]) -> None:
        super().__init__(())
        self.missed: RecordingError | None = None
        """The first prompt that the file did not hold."""
        self._path = path
        self._real = real
        self._volatile = re.compile("|".join(f"(?:{pattern})" for pattern in volatile)) if volatile else None
        if real is None:
            self.conversation = load(path)
        else:
            abilities = {name: able for name, able in (real.profile or {}).items() if isinstance(able, bool)}
            self.conversation = {"model": model_name(real), "profile": abilities, "exchanges": []}
        self._left = [(self._key(exchange), exchange) for exchange in self.conversation["exchanges"]]

    def next(self, call: Call) -> object:
        """Replay a call, or return a coroutine that records it."""
        with self._lock:
            self.calls.append(call)
            exchange = asked(call)
            if self._real is None:
                return self._replayed(exchange)
            self.conversation["exchanges"].append(exchange)
        return self._recorded(_asking(self._real, call), call, exchange)

    async def _recorded(self, real: AnyRunnable, call: Call, exchange: Exchange) -> Reply:
        effects = effects_of(ensure_config())
        try:
            with current(None):  # hidden from the callbacks, which count and stream the call of the `RecordedModel`
                answer = await effects.invoke(real, call.messages, None)
        except Exception as error:
            # Neither what a later run may not meet, nor what may quote a key.
            if not is_transient(error) and getattr(error, "status_code", None) not in (401, 402, 403):
                exchange["error"] = {"kind": type(error).__name__, "message": masked(str(error))}
                if status := getattr(error, "status_code", None):
                    exchange["error"]["status_code"] = status
                self._save()
            raise
        exchange["reply"] = kept(answer["raw"] if isinstance(answer, dict) else answer)
        self._save()
        return read(exchange["reply"])

    def check(self) -> None:
        """Raise the first miss, or say what was not used."""
        if self.missed is not None:
            raise self.missed
        if self._real is None and self._left:
            total = len(self.conversation["exchanges"])
            first = as_yaml(self._left[0][1]["prompt"][-1:]).strip()
            raise RecordingError(f"{self._path}: {len(self._left)} of {total} exchanges were not used, first:\n{first}")

    def _replayed(self, question: Exchange) -> Reply:
        key = self._key(question)
        number = next((number for number, (left, _) in enumerate(self._left) if left == key), None)
        if number is None:
            missed = RecordingError(self._difference(question, key))
            self.missed = self.missed or missed
            raise missed
        exchange = self._left.pop(number)[1]
        return Reply(error=_fault(exchange["error"])) if "error" in exchange else read(exchange["reply"])

    def _save(self) -> None:
        with self._lock:
            ended = [exchange for exchange in self.conversation["exchanges"] if exchange.keys() & {"reply", "error"}]
            save({**self.conversation, "exchanges": ended}, self._path)

    def _key(self, exchange: Exchange) -> str:
        """Return all that was asked as a text, with a mark in place of what may differ."""
        question = {name: value for name, value in exchange.items() if name not in ("reply", "error")}
        return json.dumps(self._steady(question), sort_keys=True, ensure_ascii=False)

    def _steady(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._steady(name): self._steady(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._steady(item) for item in value]
        return self._volatile.sub("…", value) if isinstance(value, str) and self._volatile else value

    def _difference(self, question: Exchange, key: str) -> str:
        recorded = [self._key(exchange) for exchange in self.conversation["exchanges"]]
        if times := recorded.count(key):
            last = as_yaml(question["prompt"][-1:]).strip()
            return f"{self._path} holds this prompt {times} times, and it was asked once more:\n{last}\n{_AGAIN}"
        if not recorded:
            return f"{self._path} holds no exchange. {_AGAIN}"
        words = re.findall(r"\w+", key)
        alike = [difflib.SequenceMatcher(None, re.findall(r"\w+", text), words).quick_ratio() for text in recorded]
        nearest = recorded[alike.index(max(alike))]
        before, now = (as_yaml(json.loads(text)).splitlines() for text in (nearest, key))
        lines = list(difflib.unified_diff(before, now, "recorded", "asked", lineterm="", n=2))
        shown = "\n".join([*lines[:_MAX_LINES], *(["..."] if len(lines) > _MAX_LINES else [])])
        return f"{self._path} does not hold what was asked; the nearest prompt differs in:\n{shown}\n{_AGAIN}"


_AGAIN = f"If that is meant, record again: set {RECORD}=1 and have access to the model."


def _asking(real: BaseChatModel, call: Call) -> AnyRunnable:
    """Return the real model bound in its provider's way to what was asked in OpenAI's."""
    options = dict(call.kwargs) | ({"stop": call.stop} if call.stop else {})
    tools, form = options.pop("tools", None), options.pop("response_format", None)
    if not tools and form and form.get("type") == "json_schema":
        schema = {"title": form["json_schema"]["name"], **form["json_schema"]["schema"]}
        return real.with_structured_output(schema, method="json_schema", include_raw=True, **options)
    if form:
        options["response_format"] = form
    return real.bind_tools(tools, **options) if tools else real.bind(**options)


def _fault(recorded: JsonObject) -> Exception:
    """Return an error that has the name of the recorded one, and is one of Python's own if that was."""
    kind = getattr(builtins, recorded["kind"], None)
    bases = (RecordedFault, kind) if isinstance(kind, type) and issubclass(kind, Exception) else (RecordedFault,)
    error: RecordedFault = type(recorded["kind"], bases, {})(recorded["message"])
    error.status_code = recorded.get("status_code")
    return error
