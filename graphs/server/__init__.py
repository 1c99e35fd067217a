"""The graphs that LangGraph Studio and its server use, and who may use the server.

exports  the six patterns with the default team, as langgraph.json names them
auth     who gets in
token    the token that the server asks for
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.server.auth import app, auth
    from graphs.server.exports import network, orchestrator, planner, router, supervisor, workflow
    from graphs.server.token import server_token

__all__ = ["app", "auth", "network", "orchestrator", "planner", "router", "server_token", "supervisor", "workflow"]

__getattr__ = lazily(__name__)
