"""Talk to OpenAI and to servers that speak its language: settings -> ChatOpenAI as Podium needs it."""

from __future__ import annotations

from typing import Any

import openai
from langchain_openai import ChatOpenAI

TIMEOUT_SECONDS = 120.0
"""For one answer of a remote model, or for the silence between two pieces of a streamed one."""
LOOKUP_SECONDS = 5.0
PLACEHOLDER_KEY = "none"
"""For servers that want no key: the client refuses to start without one."""


def openai_chat(model: str, *, trust_env: bool = True, **kwargs: Any) -> ChatOpenAI:
    """Build a `ChatOpenAI` that never retries by itself and may be used from any thread and event loop.

    Retries are Podium's own: with back-off and the server's Retry-After, and counted. `trust_env=False` ignores
    proxy settings. `kwargs` go to `ChatOpenAI` and replace what is set here.
    """
    settings: dict[str, Any] = {
        "max_retries": 0,
        "timeout": TIMEOUT_SECONDS,
        "stream_usage": True,
        # A kept connection belongs to one event loop; taken up in another it fails with "Event loop is closed".
        "http_async_client": openai.DefaultAsyncHttpxClient(headers={"Connection": "close"}, trust_env=trust_env),
        "http_client": openai.DefaultHttpxClient(trust_env=trust_env),
        # For clients that it would make itself; unless empty, it warns at length wherever a proxy is set.
        "http_socket_options": (),
    }
    return ChatOpenAI(model=model, **(settings | kwargs))


def first_model(base_url: str, api_key: str) -> str:
    """Ask a server for its models and take the first; `openai.OpenAIError` or `LookupError` when it names none."""
    with openai.OpenAI(base_url=base_url, api_key=api_key, timeout=LOOKUP_SECONDS, max_retries=0) as client:
        for model in client.models.list().data:
            return model.id
    raise LookupError("it lists no model")
