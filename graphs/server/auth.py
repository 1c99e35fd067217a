"""The server's door: with PODIUM_TOKEN set, nobody gets in without `Authorization: Bearer <token>`.

LangGraph's own check, `auth`, guards assistants, threads, runs, the store, MCP and A2A. It leaves the rest open: the
server's schema and metrics, and on the development server `/internal` and `/deploy`, which show and delete threads and
start programs. `app` guards all of it, but for the health check.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping

from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from agents.errors import ConfigurationError

HEALTH = ("/", "/ok")
"""Paths that say only that the server is up."""

POLICY_VIOLATION = 1008
"""What a refused web socket is closed with (RFC 6455)."""

REFUSAL = "This server needs a token. Send it as the header Authorization: Bearer <the value of PODIUM_TOKEN>."


def _token() -> bytes | None:
    """Return the token to ask for.

    Raises:
        ConfigurationError: PODIUM_TOKEN is set to nothing, which would leave open what was meant to be shut, or to what
            cannot be sent in a header.
    """
    given = os.environ.get("PODIUM_TOKEN")
    if given is None:
        return None
    if not given.isascii() or not given.isprintable() or given.split() != [given]:
        raise ConfigurationError(
            "PODIUM_TOKEN must be ASCII text without spaces, and not empty; unset it to let everybody in"
        )
    return given.encode()


_TOKEN = _token()


def admitted(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request may come in; the comparison takes as long for a wrong token as for a right one."""
    if _TOKEN is None:
        return True
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given, _TOKEN)


auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> Auth.types.MinimalUserDict:
    """Let in who has the token; they are one user and share everything."""
    if not admitted(headers):
        raise Auth.exceptions.HTTPException(401, detail=REFUSAL)
    return {"identity": "podium"}


class Guard:
    """Refuses every request and web socket without the token, except for the health check."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it."""
        if _is_open(scope) or admitted(dict(scope["headers"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": REFUSAL})
        else:
            await _refuse(send)


def _is_open(scope: Scope) -> bool:
    """Know the health check, and the calls that the server makes to itself (for MCP and A2A).

    Those have a root path that no request can set, and LangGraph's own check lets them pass too.
    """
    root: str = scope.get("root_path") or ""
    return scope["path"] in HEALTH or root == "/noauth" or root.startswith("/noauth/")


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": REFUSAL}).encode()})


app = Starlette(middleware=[Middleware(Guard)])
