"""A piece of work of a run as plain values: a step, or a turn of an agent, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DONE, FAILED, SKIPPED, STOPPED, PENDING = "completed", "failed", "skipped", "stopped", "not begun"
SENT_BACK, WAITING = "sent back", "waits for you"
MARKS = {DONE: "✓", FAILED: "✗", SENT_BACK: "↩", STOPPED: "■", WAITING: "?", SKIPPED: "-", PENDING: "·"}
"""By what can have become of a piece of work; where colours cannot be seen, these tell."""


@dataclass(frozen=True)
class Item:
    """One piece of work: a step, or a turn of an agent."""

    id: str
    agent: str
    status: str = DONE
    after: tuple[str, ...] = ()
    """Ids of the items whose results it had, or would have had."""
    started: float | None = None
    """Seconds since the epoch; None if it never began, or its time is not recorded."""
    ended: float | None = None
    ready: float | None = None
    """When the last of its dependencies had ended."""
    attempts: int = 1
    critical: bool = False
    """On the chain of steps that determined when the run ended."""
    held_by: str | None = None
    """The dependency that ended last."""
    task: str = ""
    result: str = ""
    note: str = ""
    """Why it failed, was skipped or was sent back."""
    tokens: int = 0
    inside: Mapping[str, Any] = field(default_factory=dict)
    """What agents inside its agent have cost, by name."""
    problems: Sequence[Any] = ()

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    @property
    def waited(self) -> float:
        """Seconds from the end of its last dependency to its start."""
        return 0.0 if self.started is None or self.ready is None else max(0.0, self.started - self.ready)

    @property
    def name(self) -> str:
        """Its id, without the agent where that is said beside it."""
        return self.id.removesuffix(f" {self.agent}") if self.agent else self.id

    @property
    def by(self) -> str:
        """The agent, unless the id names it."""
        return "" if self.id.endswith(self.agent) else self.agent


# What is stored, or comes through JSON, need not have the form that the graphs give it.
def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, of anything else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    """Return a list as it is, of anything else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: Any) -> str:
    """Return a text as it is, nothing for None, and of anything else what Python writes."""
    return value if isinstance(value, str) else "" if value is None else str(value)
