"""The local model: its weights, and the server on this machine that runs it."""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.models.local.download import pull
    from agents.models.local.server import PROFILE, available, local_model
    from agents.models.local.weights import DEFAULT, MODELS, describe_download, find, installed

__all__ = [
    "DEFAULT",
    "MODELS",
    "PROFILE",
    "available",
    "describe_download",
    "find",
    "installed",
    "local_model",
    "pull",
]

__getattr__ = lazily(
    __name__,
    {
        "DEFAULT": "weights",
        "MODELS": "weights",
        "PROFILE": "server",
        "available": "server",
        "describe_download": "weights",
        "find": "weights",
        "installed": "weights",
        "local_model": "server",
        "pull": "download",
    },
)
