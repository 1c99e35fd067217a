"""What can go wrong while an agent works; graphs/errors.py draws the whole tree.

The base class decides whether a failed call is made again: a `TransientError` is, every other `PodiumError` is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.runtime import Usage


class PodiumError(Exception):
    """Base of everything Podium raises on purpose; never retried unless it is a `TransientError` too."""


class TransientError(PodiumError):
    """A fault that may be gone the next time, so the call is retried."""


class ConfigurationError(PodiumError, ValueError):
    """Something was put together wrongly; raised when it is built, before any agent runs."""


class UnknownAgentError(ConfigurationError):
    """A name that no agent of the team has."""


class TeamFileError(ConfigurationError):
    """A team file that cannot be used; the message gives file, line and what is known."""


class NoModelError(PodiumError):
    """No chat model is configured, or the local one is not installed; the message says what to set."""


class DecisionError(PodiumError):
    """A model gave no decision of the wanted form, also after its mistakes were shown to it."""


class StorageError(PodiumError):
    """What was done cannot be stored or read back; it ends a run at once, for nothing after it would be kept."""


class BudgetError(PodiumError):
    """The run's budget is used up; no new call is made."""


class AgentError(PodiumError):
    """An agent gave no usable answer."""

    def __init__(self, message: str, *, kind: str = "failed", usage: Usage | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        """One word for the cause: `empty`, `refused`, `filtered`, `truncated`, `loop`, `check` or `failed`."""
        self.usage = usage
        """What the failed call cost, in the form of `Answer.usage`; None when unknown."""


class EmptyReplyError(AgentError, TransientError):
    """A reply without text, which often succeeds when asked again."""

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message, kind="empty", usage=usage)
