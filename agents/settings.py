"""What the caller of a run may turn without building the graph anew: LangGraph's run-time context."""

from __future__ import annotations

from dataclasses import dataclass, field

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import get_runtime

from agents.models import chat_model
from agents.once import IO


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


async def model_of_run(io: IO, own: BaseChatModel | str | None) -> BaseChatModel:
    """Return the model to use: `own`, else the one the run's settings name, else the default."""
    wanted = own or settings().model or None
    if isinstance(wanted, BaseChatModel):
        return wanted
    # Finding out may load the local model or ask a server, which must not hold up an event loop.
    return await io.function(chat_model, {"model": wanted})
