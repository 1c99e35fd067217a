"""Chat models and embeddings: which model a run uses, OpenAI-compatible servers, the local model."""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.models.embeddings import LocalEmbeddings
    from agents.models.resolve import chat_model, model_name, model_of_run

__all__ = ["LocalEmbeddings", "chat_model", "model_name", "model_of_run"]

__getattr__ = lazily(
    __name__,
    {"LocalEmbeddings": "embeddings", "chat_model": "resolve", "model_name": "resolve", "model_of_run": "resolve"},
)
