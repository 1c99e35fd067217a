"""The three kinds of worker behind an `Agent`: a chat model, a function, a graph."""

from agents.workers.chat_model import Role
from agents.workers.function import Function, current
from agents.workers.graph import Remote, at_hand

__all__ = ["Function", "Remote", "Role", "at_hand", "current"]
