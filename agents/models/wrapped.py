"""Chat models in LangChain's wrappers: `with_fallbacks`, `with_retry`, `bind`, `with_config`.

The wrappers pass `bind_tools` and `with_structured_output` on to the model inside and lose themselves on the way; here
every model inside gets the tools or the form, and the wrappers stay around them.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase, RunnableSequence

from agents.errors import ConfigurationError
from agents.runtime import AnyRunnable, JsonObject


class WrappedModel(RunnableBinding[object, object]):
    """A wrapped chat model with the method that LangChain's agents call on a plain one; other attributes are its."""

    def bind_tools(self, tools: object, **options: object) -> AnyRunnable:
        return cast("AnyRunnable", on_models(self.bound, lambda model: model.bind_tools(tools, **options)))


def as_chat_model(model: object) -> Any:
    """Accept a chat model, plain or wrapped; names and None are passed through.

    Raises:
        ConfigurationError: It is something else.
    """
    if model is None or isinstance(model, str | BaseChatModel | WrappedModel):
        return model
    if isinstance(model, Runnable) and all(map(_is_chat_model, models_in(model))):
        return WrappedModel(bound=model)
    raise ConfigurationError(f"A model is a chat model, a wrapped one, or provider:model, not {type(model).__name__}")


def _is_chat_model(model: object) -> bool:
    """Recognise a chat model, or what stands for one until it is called: `init_chat_model` with configurable fields."""
    is_chain = isinstance(model, RunnableSequence)
    return isinstance(model, BaseChatModel) or (hasattr(model, "bind_tools") and not is_chain)


def models_in(model: object) -> Iterator[object]:
    """Yield the chat models in the wrappers."""
    if isinstance(model, RunnableBindingBase):
        yield from models_in(model.bound)
    elif isinstance(model, RunnableWithFallbacks):
        for inner in model.runnables:
            yield from models_in(inner)
    else:
        yield model


def on_models(model: object, change: Callable[[Any], object]) -> Any:
    """Change the chat models in the wrappers; return the same object where nothing changes."""
    if isinstance(model, RunnableBindingBase):
        bound = on_models(model.bound, change)
        return model if bound is model.bound else model.model_copy(update={"bound": bound})
    if isinstance(model, RunnableWithFallbacks):
        first, *others = changed = [on_models(inner, change) for inner in model.runnables]
        if all(map(operator.is_, changed, model.runnables)):
            return model
        return model.model_copy(update={"runnable": first, "fallbacks": others})
    return change(model)


def beginning_with(model: AnyRunnable, attempt: int) -> AnyRunnable:
    """Return the model for an attempt, counted from 1: each begins with the next of `with_fallbacks`, and round again.

    LangChain asks the next model where a call raises, not after a reply without an answer, or words of a cut stream.
    """
    if isinstance(model, RunnableBindingBase):
        bound = beginning_with(model.bound, attempt)
        return model if bound is model.bound else model.model_copy(update={"bound": bound})
    if attempt == 1 or not isinstance(model, RunnableWithFallbacks):
        return model
    models = [*model.runnables]
    place = (attempt - 1) % len(models)
    first, *others = models[place:] + models[:place]
    return model.model_copy(update={"runnable": first, "fallbacks": others})


def is_same(model: object, other: object) -> bool:
    """Return whether two models, perhaps wrapped alike, are made of the same objects."""
    inside, others = list(models_in(model)), list(models_in(other))
    return len(inside) == len(others) and all(map(operator.is_, inside, others))


def structured(model: object, schema: JsonObject) -> Runnable[object, object]:
    """Return the model asked for JSON of a schema in its provider's way; replies stay messages, unparsed.

    Raises:
        NotImplementedError, ValueError: The model's class has no structured output.
    """

    def change(inner: BaseChatModel) -> AnyRunnable:
        parsed = inner.with_structured_output(schema, method="json_schema")
        if isinstance(parsed, RunnableSequence):  # `model | parser`
            return parsed.first
        asked: AnyRunnable = inner.with_structured_output(schema, method="json_schema", include_raw=True)
        return asked | operator.itemgetter("raw")

    return cast("AnyRunnable", on_models(model, change))


def without_stream_usage(model: object) -> AnyRunnable:
    """Return the model set not to ask for the usage of a stream (OpenAI's `stream_options`)."""

    def change(inner: BaseChatModel) -> BaseChatModel:
        return inner.model_copy(update={"stream_usage": False}) if hasattr(inner, "stream_usage") else inner

    return cast("AnyRunnable", on_models(model, change))


def is_streamed(model: object) -> bool:
    """Return whether all models in the wrappers write piece by piece; LangChain's fallback passes a whole reply on."""
    kinds = {type(inner) for inner in models_in(model)}
    return all(
        getattr(kind, "_stream", None) is not BaseChatModel._stream
        or getattr(kind, "_astream", None) is not BaseChatModel._astream
        for kind in kinds
    )


def calls_tools(model: object) -> bool:
    """Return whether all models in the wrappers can call tools, as far as their profiles say."""
    return all((getattr(inner, "profile", None) or {}).get("tool_calling") is not False for inner in models_in(model))
