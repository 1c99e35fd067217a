"""What the caller of a run may turn without building the graph anew: LangGraph's run-time context."""

from __future__ import annotations

from dataclasses import dataclass, field

from langgraph.runtime import get_runtime


@dataclass(frozen=True)
class Settings:
    """The `context_schema` of every Podium graph; Studio shows it as a form."""

    model: str = field(
        default="",
        metadata={"description": "Chat model as provider:model for all that name none of their own; empty: default."},
    )


def settings() -> Settings:
    """Return the settings of the run this is called in; the defaults outside a run or in a graph with others."""
    try:
        context = get_runtime().context
    except (RuntimeError, KeyError):
        return Settings()
    return context if isinstance(context, Settings) else Settings()
