"""Errors of agents; graphs/errors.py draws the whole tree.

The base class decides whether a failed call is repeated: a `TransientError` is, every other `PodiumError` is not.
"""

from agents.usage import Usage


class PodiumError(Exception):
    """Base of everything Podium raises on purpose; never retried unless it is a `TransientError` too."""


class TransientError(PodiumError):
    """A fault that may not occur again, so the call is retried."""


class ConfigurationError(PodiumError, ValueError):
    """Wrong construction; raised when an agent or pattern is built, before anything runs."""


class UnknownAgentError(ConfigurationError):
    """No agent of the team has this name."""


class ChangedCodeError(ConfigurationError):
    """A stored run cannot go on with this code; says what has changed and what to do, and ends the run at once."""


class TeamFileError(ConfigurationError):
    """A team file that cannot be used; the message names file, line and what is allowed."""


class NoModelError(PodiumError):
    """No chat model is configured, or the local one is not installed; the message says what to set."""


class DecisionError(PodiumError):
    """A model gave no decision of the required form, even after its mistakes were returned to it."""


class StorageError(PodiumError):
    """The record of a run cannot be stored or read; ends the run at once, because later work would be lost too."""


class BudgetError(PodiumError):
    """The budget of the run is used up; no new call is made."""


class AgentError(PodiumError):
    """An agent gave no usable answer."""

    def __init__(self, message: str, *, kind: str = "failed", usage: Usage | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        """Cause in one word: `empty`, `refused`, `filtered`, `truncated`, `loop`, `check` or `failed`."""
        self.usage = usage
        """Cost of the failed call; None if unknown."""


class EmptyReplyError(AgentError, TransientError):
    """A reply without text; a second call often succeeds."""

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message, kind="empty", usage=usage)
