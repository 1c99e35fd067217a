"""The form of a decision: its JSON schema, its validation, and fields that name one of several things."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError, WithJsonSchema
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

from agents.errors import ConfigurationError, DecisionError
from agents.runtime import JsonObject, reads_foreign_text

Short = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 300})]
"""A reason or evidence. The bound keeps a model that loops from writing to its token limit; longer texts are read."""

Paragraph = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 1500})]
"""Feedback or a task, bounded like `Short`."""

MAX_NAME = 200
"""Characters of a name that is compared with others."""

_FILLERS = {"the", "a", "an", "agent", "agents", "assistant", "member", "team", "named", "called", "step"}


@reads_foreign_text(lambda read, text: read(text, ["bank", "travel"]))
def nearest(name: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a model means by a name: `'Bank'`, `**bank**`, `bank agent`; None unless one fits."""
    if name in choices:
        return name
    if len(name) > MAX_NAME:
        return None
    for fillers in ((), _FILLERS):
        fitting = [choice for choice in choices if _letters(choice, fillers) == _letters(name, fillers)]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _letters(name: str, fillers: Collection[str]) -> str:
    words = re.findall(r"[^\W_]+", name.casefold())
    return "".join(word for word in words if word not in fillers) or "".join(words)


class OneOf:
    """Metadata of a text field for one of some names, or nearly one: `Annotated[str, OneOf(names)]`.

    The model sees an enum. With `others` a name that fits none passes unchanged; else it goes back to the model, with
    the choices.
    """

    def __init__(self, names: Sequence[str], *, others: bool = False) -> None:
        self.names = list(names)
        self.others = others

    def read(self, name: object) -> Any:
        chosen = nearest(name, self.names) if isinstance(name, str) else None
        if chosen is None and not self.others:
            raise ValueError(f"{name!r:.80} is not one of: {', '.join(self.names)}")
        return chosen or name

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Mapping[str, object]:
        return {"type": "string", "enum": self.names}


class Form:
    """The form of a decision: a pydantic model, a TypedDict, a dataclass, or the JSON schema of an object.

    Raises:
        ConfigurationError: It is not the form of an object.
    """

    def __init__(self, form: Any) -> None:
        try:
            self._adapter = None if isinstance(form, dict) else TypeAdapter[Any](form)
            described = form if self._adapter is None else self._adapter.json_schema()
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise ConfigurationError(
                "A reply's form is a pydantic model, a TypedDict, a dataclass or the JSON schema of an object, not"
                f" {form!r:.80}: {error.message}"
            ) from error
        self.name = str(form.get("title", "")) if self._adapter is None else str(getattr(form, "__name__", form))
        if described.get("type", "object") != "object":
            raise ConfigurationError(f"A reply's form must describe an object, not {self.name or described}")
        title = re.sub(r"[^a-zA-Z0-9_-]", "_", self.name)[:60] or "reply"
        self.schema: JsonObject = {"additionalProperties": False, **described, "title": title}

    def read(self, value: Any) -> JsonObject:
        """Return a value as JSON data of this form.

        Raises:
            DecisionError: It is not of the form; the message says where.
        """
        if self._adapter is None:
            from jsonschema import Draft202012Validator  # slow to import, and rarely needed

            for flaw in Draft202012Validator(self.schema).iter_errors(value):
                raise DecisionError(f"{_place(flaw.absolute_path)}: {flaw.message:.200}")
            return dict(value)
        try:
            data: dict[str, object] = self._adapter.dump_python(self._adapter.validate_python(value), mode="json")
        except ValidationError as error:
            flaws = [f"{_place(flaw['loc'])}: {flaw['msg']}" for flaw in error.errors()]
            raise DecisionError("; ".join(flaws[:5])) from error
        return data


def _place(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path)) or "the whole"
