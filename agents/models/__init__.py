"""Chat models and embeddings.

resolve                 which model a run uses; openai_compatible, http_clients: OpenAI and servers of its protocol
calls                   one call of a model; normalize, thinking: what is sent and read
wrapped                 models in LangChain's wrappers
embeddings              a small embedding model on this machine
local                   the local model and its server
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.models.calls import (
        UnstructuredError,
        WrittenArguments,
        call_once,
        habits_of,
        read_reply,
        refuses_form,
        refuses_tools,
    )
    from agents.models.embeddings import LocalEmbeddings
    from agents.models.openai_compatible import openai_chat
    from agents.models.resolve import chat_model, model_name, model_of_run
    from agents.models.thinking import VisibleText, without_thinking
    from agents.models.wrapped import as_chat_model, beginning_with, calls_tools, is_same, is_streamed, structured

__all__ = [
    "LocalEmbeddings",
    "UnstructuredError",
    "VisibleText",
    "WrittenArguments",
    "as_chat_model",
    "beginning_with",
    "call_once",
    "calls_tools",
    "chat_model",
    "habits_of",
    "is_same",
    "is_streamed",
    "model_name",
    "model_of_run",
    "openai_chat",
    "read_reply",
    "refuses_form",
    "refuses_tools",
    "structured",
    "without_thinking",
]

__getattr__ = lazily(__name__)
