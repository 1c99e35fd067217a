"""The choice of a chat model: the caller's -> PODIUM_MODEL -> OpenAI or compatible -> local -> a clear error.

Everything is decided when `chat_model` is called; importing this needs no key and no network.
"""

import os
import threading
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel

from agents.errors import ConfigurationError, NoModelError
from agents.models import local
from agents.models.wrapped import on_models
from agents.runtime import Effects, install_hint
from agents.settings import settings

DEFAULT_OPENAI_MODEL = "gpt-5.4-mini"
"""Used with api.openai.com when OPENAI_MODEL is not set: plans and tool calls at a modest price."""
OPENAI_HOST = "api.openai.com"

NOTHING_CONFIGURED = f"""\
No chat model. Set PODIUM_MODEL=provider:model and the provider's key (for example anthropic:… and ANTHROPIC_API_KEY),
or OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server (OPENAI_MODEL chooses the model),
or install the local model: {install_hint("local")} && podium model pull"""


def chat_model(model: BaseChatModel | str | None = None) -> BaseChatModel:
    """Return the chat model to use; the same settings return the same object.

    In order: `model` (an instance, `provider:model`, `local` or `local:name`); PODIUM_MODEL, in the same form;
    OPENAI_API_KEY or OPENAI_BASE_URL, with the model OPENAI_MODEL names; the local model, when installed.

    Only a custom OPENAI_BASE_URL without OPENAI_MODEL is asked something here: for its first model, 5 seconds at most.
    Loading the local model takes seconds, so async code calls this in a thread.

    Raises:
        NoModelError: Nothing is configured, or what is needed is missing.
        ConfigurationError: A setting makes no sense.
    """
    if model is not None and not isinstance(model, str):
        return model
    if setting := model or os.environ.get("PODIUM_MODEL"):
        provider, _, name = setting.partition(":")
        if provider == "local":
            return local.local_model(name or None)
        if not name:
            raise ConfigurationError(f"{setting!r} names no model; write provider:model (openai:gpt-5-mini), or local")
        return _shared(provider, name)
    if os.environ.get("OPENAI_API_KEY") or _base_url():
        return _shared("openai", "")
    if local.available():
        return local.local_model()
    raise NoModelError(NOTHING_CONFIGURED)


def model_name(model: BaseChatModel) -> str:
    """Name a model for people: what its provider calls it, else its class."""
    for attribute in ("model_name", "model", "model_id"):
        if isinstance(name := getattr(model, attribute, None), str) and name:
            return name
    return type(model).__name__


def _shared(provider: str, name: str) -> BaseChatModel:
    """Return one model for the same variables that the provider may read: a changed key or address gives a new one."""
    own, endings = provider.partition("_")[0].upper(), ("_API_KEY", "_BASE_URL", "_API_BASE", "_ENDPOINT", "_PROXY")
    read = {key: value for key, value in os.environ.items() if key.startswith(own) or key.upper().endswith(endings)}
    with _lock:
        return _build(provider, name, frozenset(read.items()))


@lru_cache(maxsize=32)
def _build(provider: str, name: str, environment: frozenset[tuple[str, str]]) -> BaseChatModel:
    """Build what `_shared` keeps; `environment` is only part of the key."""
    if provider == "openai":
        return _openai(name)
    try:
        from langchain.chat_models import init_chat_model

        model = init_chat_model(name, model_provider=provider)
        if "max_retries" in type(model).model_fields:  # the retries of its class would multiply with ours
            model = init_chat_model(name, model_provider=provider, max_retries=0)
        return _for_any_loop(model)
    except ImportError as error:
        raise NoModelError(f"{provider}:{name} cannot be used yet. {error}") from error
    except ValueError as error:
        raise ConfigurationError(f"{provider}:{name} cannot be used: {error}") from error


def _for_any_loop(model: BaseChatModel) -> BaseChatModel:
    if not type(model).__module__.startswith("langchain_openai."):  # a subclass may count or change its own calls
        return model
    from langchain_openai.chat_models.base import BaseChatOpenAI

    from agents.models.openai_compatible import for_any_loop

    return for_any_loop(model) if isinstance(model, BaseChatOpenAI) else model


def _openai(name: str) -> BaseChatModel:
    from agents.models.openai_compatible import PLACEHOLDER_KEY, first_model, openai_chat

    base_url = _base_url()
    custom = base_url is not None and urlsplit(base_url).hostname != OPENAI_HOST
    key = os.environ.get("OPENAI_API_KEY")
    if not key and not custom:
        raise NoModelError(f"openai:{name} needs OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server")
    name = name or os.environ.get("OPENAI_MODEL") or ""
    if not name:
        name = first_model(base_url, key or PLACEHOLDER_KEY) if base_url and custom else DEFAULT_OPENAI_MODEL
    return openai_chat(name, base_url=base_url, api_key=key or PLACEHOLDER_KEY)


def _base_url() -> str | None:
    return os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or None


async def model_of_run(effects: Effects, own: BaseChatModel | str | None) -> BaseChatModel:
    """Return the model to use: `own`, else the one the run's settings name, else the default."""
    wanted = own or settings().model or None
    if wanted is not None and not isinstance(wanted, str):
        return cast("BaseChatModel", on_models(wanted, _for_any_loop))
    # Finding out may load the local model or ask a server, which must not hold up an event loop.
    return await effects.function(chat_model, wanted)


_lock = threading.Lock()
