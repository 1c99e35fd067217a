"""Access to the server: for clients that send the token, as `Authorization: Bearer <token>` or in the address.

LangGraph's own check, `auth`, guards assistants, threads, runs, the store, MCP and A2A. It leaves the rest open: the
server's schema and metrics, and on the development server `/internal` and `/deploy`, which show and delete threads and
start programs. `app` guards all of it but the health check, and shuts those two.

With PODIUM_TOKEN=none only programs of this machine get in, and web pages that `http.cors` in langgraph.json names.
"""

import hmac
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graphs.server.token import make_token, token_file

HEALTH = ("/", "/ok")
"""Paths that tell only that the server is up."""

SHUT = ("/internal", "/deploy")
"""Paths that the development server leaves open and no client needs."""

IN_ADDRESS = "/t/"
"""Clients that cannot send headers put this and the token before the path; LangGraph Studio is one."""

POLICY_VIOLATION = 1008
"""Code with which a refused web socket is closed (RFC 6455)."""

NEEDS_TOKEN = "This server needs a token. Send it as the header Authorization: Bearer <token>."  # noqa: S105
ONLY_HERE = "Without a token this server answers programs of its own machine only, and web pages that http.cors allows."
NOT_SERVED = "This part of the development server is shut."

STATE = Path(".langgraph_api")
"""Folder in which the development server keeps threads, in the folder that it runs in."""

_TOKEN = make_token()


def _cors() -> CORSMiddleware:
    """Return the server's own rule for web pages; without one, no page may send requests."""
    rule = json.loads(os.environ.get("CORS_CONFIG") or "null")
    rule = rule or json.loads(os.environ.get("LANGGRAPH_HTTP") or "{}").get("cors") or {}
    origins, pattern = rule.get("allow_origins", ()), rule.get("allow_origin_regex")
    return CORSMiddleware(Starlette(), allow_origins=origins, allow_origin_regex=pattern)


_CORS = _cors()


def refusal(headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
    """Return the status and the reason with which a request is refused; None if it may come in.

    The comparison takes as long for a wrong token as for a right one.
    """
    if _TOKEN is not None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        right = scheme.lower() == b"bearer" and hmac.compare_digest(token, _TOKEN.encode())
        return None if right else (401, NEEDS_TOKEN)
    origin = headers.get(b"origin", b"").decode("latin-1")
    # Browsers leave the origin out where a page of another site has them load a picture, a script or a frame.
    own = _CORS.is_allowed_origin(origin) if b"origin" in headers else headers.get(b"sec-fetch-site") != b"cross-site"
    return None if own and _is_loopback(headers.get(b"host", b"").decode("latin-1")) else (403, ONLY_HERE)


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> Auth.types.MinimalUserDict:
    """Let in who may come in; they are one user and share everything."""
    if (refused := refusal(headers)) is not None:
        raise Auth.exceptions.HTTPException(refused[0], detail=refused[1])
    return {"identity": "podium"}


class Guard:
    """Refuses every request and web socket that may not come in, except for the health check."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = _refused(scope)
        if refused is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused[1]})
        else:
            status, detail = refused
            await JSONResponse({"detail": detail}, status, {"www-authenticate": "Bearer"})(scope, receive, send)


def _refused(scope: Scope) -> tuple[int, str] | None:
    root: str = scope.get("root_path") or ""
    if root == "/noauth" or root.startswith("/noauth/"):
        return None  # the server calls itself, for MCP and A2A; no request can set its root path
    path: str = scope["path"].removeprefix(root)
    if path in HEALTH:
        return None
    client = scope.get("client")
    if _TOKEN is None and client and not _is_loopback(f"[{client[0]}]" if ":" in client[0] else client[0]):
        return 403, ONLY_HERE  # also where it calls the server by the name of this machine
    refused = refusal(dict(scope["headers"]))
    if refused is None and any(path == shut or path.startswith(f"{shut}/") for shut in SHUT):
        return 404, NOT_SERVED
    return refused


class Door(Starlette):
    """The application around LangGraph's: accepts a token in the address instead of the headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if _TOKEN is not None and path.startswith(IN_ADDRESS):
            start = f"{IN_ADDRESS}{_TOKEN}"
            if hmac.compare_digest(path[: len(start)].encode(), start.encode()) and path[len(start) :][:1] in ("", "/"):
                rest = path[len(start) :] or "/"
                others = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
                headers = [*others, (b"authorization", f"Bearer {_TOKEN}".encode())]
                scope = {**scope, "path": rest, "raw_path": rest.encode(), "headers": headers}
        await super().__call__(scope, receive, send)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep what the server stores private, and tell its user how to get in."""
    _make_private()
    if _TOKEN is not None and "PODIUM_TOKEN" not in os.environ:
        server = f"{os.environ.get('LANGGRAPH_API_URL') or 'http://SERVER'}{IN_ADDRESS}{_TOKEN}"
        sys.stderr.write(
            f"\nThis server asks for a token, which is in {token_file()}.\n"
            f"Studio: https://smith.langchain.com/studio/?baseUrl={server}\nOther clients: {server}\n\n"
        )
    yield


def _make_private() -> None:
    os.umask(0o077)
    if STATE.is_dir():
        for path in (STATE, *STATE.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)


app = Door(middleware=[Middleware(Guard)], lifespan=lifespan)
