"""OpenAI and servers that speak its protocol: settings -> ChatOpenAI over connections that are kept."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Mapping
from typing import Any

import langchain_openai
import openai
from httpx2 import Auth
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai.chat_models.base import BaseChatOpenAI

from agents.errors import NoModelError
from agents.models.http_clients import shared_clients
from agents.runtime import masked

MODEL_TIMEOUT_SECONDS = 120.0
"""For one answer of a remote model, or for the silence between two pieces of a streamed one."""
LOOKUP_SECONDS = 5.0
LOADING_SECONDS = 60.0
"""Longest time for which a server may answer 503 to the question for its models: llama.cpp loads one meanwhile."""
PLACEHOLDER_KEY = "none"
"""For servers that want no key: the client refuses to start without one."""

log = logging.getLogger(__name__)


def openai_chat(
    model: str, *, base_url: str | None = None, trust_env: bool = True, auth: Auth | None = None, **kwargs: Any
) -> ChatOpenAI:
    """Build a `ChatOpenAI` that never retries by itself and may be used from any thread and event loop.

    Podium makes the retries: with back-off and the server's Retry-After, and counted. `trust_env=False` ignores
    proxy settings; `auth` authenticates every request. `kwargs` go to `ChatOpenAI` and replace what is set here.
    """
    sync, asynchronous = shared_clients(base_url, trust_env=trust_env, auth=auth)
    settings: dict[str, Any] = {
        "base_url": base_url,
        "max_retries": 0,
        "timeout": MODEL_TIMEOUT_SECONDS,
        "stream_usage": True,
        "http_client": sync,
        "http_async_client": asynchronous,
        # Socket options are for clients that it would build; unless empty, it warns wherever a proxy is set.
        "http_socket_options": (),
    }
    return ChatOpenAI(model=model, **(settings | kwargs))


class ChatOpenAI(langchain_openai.ChatOpenAI):
    """The class of that name, which also reads refusals from streamed replies; traces show the name."""

    def _convert_chunk_to_generation_chunk(self, chunk: dict[str, Any], *others: Any) -> ChatGenerationChunk | None:
        converted = super()._convert_chunk_to_generation_chunk(chunk, *others)
        choices = chunk.get("choices") or ()
        refusals = [refusal for choice in choices if (refusal := (choice.get("delta") or {}).get("refusal"))]
        if converted is not None and refusals:
            converted.message.additional_kwargs["refusal"] = "".join(refusals)
        return converted


def for_any_loop(model: BaseChatOpenAI) -> BaseChatOpenAI:
    """Return a user's model for use in any event loop: a copy with our clients, unless it has one of its own.

    The connections that langchain-openai keeps fail in a second `asyncio.run`, after the server got the request. The
    copy leaves retries to Podium, unless `max_retries` is set.
    """
    own = model.root_async_client
    if model.http_async_client is not None or not isinstance(own, openai.AsyncOpenAI):
        return model
    copied, settings = _copies.get(id(model), (None, None))
    if copied is None or settings != model.__dict__:
        retries: dict[str, Any] = {"max_retries": 0} if model.max_retries is None else {}
        sync, asynchronous = shared_clients(str(own.base_url))
        client = own.with_options(http_client=asynchronous, **retries)
        update = {"root_async_client": client, "async_client": client.chat.completions}
        if model.http_client is None and isinstance(model.root_client, openai.OpenAI):
            root = model.root_client.with_options(http_client=sync, **retries)
            update |= {"root_client": root, "client": root.chat.completions}
        copied = model.model_copy(update=update)
        if type(copied) is langchain_openai.ChatOpenAI:
            copied.__class__ = ChatOpenAI
        if id(model) not in _copies:
            weakref.finalize(model, _copies.pop, id(model), None)
        _copies[id(model)] = (copied, dict(model.__dict__))
    return copied


_copies: dict[int, tuple[BaseChatOpenAI, Mapping[str, object]]] = {}
"""Copies of users' models by the model's id, each with the settings that were copied."""


def first_model(base_url: str, api_key: str, *, loading_seconds: float = LOADING_SECONDS) -> str:
    """Ask a server for its models and take the first; wait while it answers 503, because it is loading.

    Raises:
        NoModelError: The server cannot be reached, names no model, or still answers 503 after `loading_seconds`.
    """
    deadline, wait = time.monotonic() + loading_seconds, 0.25
    try:
        with openai.OpenAI(base_url=base_url, api_key=api_key, timeout=LOOKUP_SECONDS, max_retries=0) as client:
            while True:
                try:
                    return next(iter(client.models.list().data or ())).id
                except openai.InternalServerError as error:
                    if error.status_code != 503 or time.monotonic() + wait > deadline:
                        raise
                log.info("%s is loading its model; asking again in %g s", base_url, wait)
                time.sleep(wait)
                wait = min(2 * wait, 4.0)
    except openai.APIConnectionError as error:
        unreachable = f"{masked(base_url)} cannot be reached; check OPENAI_BASE_URL, and whether a server runs there"
        raise NoModelError(unreachable) from error
    except (openai.OpenAIError, StopIteration, ValueError, AttributeError) as error:  # AttributeError: not an object
        reason = str(error) or "it lists no model"
        raise NoModelError(f"Set OPENAI_MODEL: {masked(base_url)} names no model ({reason})") from error
