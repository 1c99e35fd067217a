"""Progress of a run, on LangGraph's `custom` stream: small JSON events that say where, what and when."""

from __future__ import annotations

import time

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config, get_stream_writer

from graphs.engine.langgraph_internals import namespace_of, parts_of


def report(event: str, **fields: object) -> None:
    """Stream one event: `{"event", "path", "time", ...}`; `path` names nodes and steps, as `execute/draft/work`."""
    path = "/".join(part.split(":")[0] for part in parts_of(namespace_of(get_config())))
    get_stream_writer()({"event": event, "path": path, "time": time.time(), **fields})


def place_in_run(config: RunnableConfig) -> str:
    """Return the checkpoint namespace of the graph in which a node is called; that of the outermost is empty."""
    return namespace_of(config).rpartition("|")[0]
