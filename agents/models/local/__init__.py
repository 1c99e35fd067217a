"""The local model: its weights, and the server on this machine that runs it.

weights         the models of weights.json: where they are kept, whether they were verified
download        their download, on request only
server          the one server of a model, shared by all programs of a user, and its chat model
server_process  the script that this server is
prompts         instructions that it has read already when it starts
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.models.local.download import pull
    from agents.models.local.prompts import prepare
    from agents.models.local.server import PROFILE, available, local_model
    from agents.models.local.weights import DEFAULT, describe_download, find, known_weights

__all__ = [
    "DEFAULT",
    "PROFILE",
    "available",
    "describe_download",
    "find",
    "known_weights",
    "local_model",
    "prepare",
    "pull",
]

__getattr__ = lazily(__name__)
