"""The local model behind a loopback server that all programs of a user share: weights -> server -> ChatOpenAI.

The first program that needs the server starts it. Its address and key are in a private file; it ends when idle.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
from filelock import FileLock
from langchain_core.language_models import ModelProfile
from langchain_openai import ChatOpenAI

from agents.errors import ConfigurationError, NoModelError, PodiumError
from agents.models.local.weights import DEFAULT, cache_folder, find, own_file
from agents.models.openai_compatible import PLACEHOLDER_KEY, openai_chat
from agents.runtime import install_hint

SLOTS = 2
"""Requests answered at once, others wait. On two cores two together take a little less time than one after the
other, and a short one need not wait for a long one; each further slot costs 0.25 GB."""
CONTEXT = 8192
"""Tokens of prompt and reply together, per request."""
PROMPT_CACHE = 512
"""MiB of memory for prompts that have left their slot (28 KB a token): the instructions of an agent are read once,
whatever other agents are asked in between. The runtime itself would take up to 8 GiB."""
REPLY_LIMIT = 2048
"""Tokens of one reply, so that a model caught in a loop ends within minutes (finish_reason `length`)."""
TIMEOUT_SECONDS = 600.0
IDLE_SECONDS = 300.0
"""Idle time after which the server ends."""

PROFILE = ModelProfile(
    max_input_tokens=CONTEXT,
    max_output_tokens=REPLY_LIMIT,
    tool_calling=False,
    structured_output=True,
)
"""`tool_calling` is False although requests with tools are accepted: the calls come back as text."""


class LocalModelError(PodiumError):
    """The runtime could not load the model, mostly for want of memory or because the file is not a GGUF file."""


@dataclass(frozen=True)
class Running:
    """A server's entry in its private file."""

    address: str
    key: str
    process: int

    def answers(self) -> bool:
        """Whether the server is there and takes the key; one that is too busy to answer at once is there."""
        connection = HTTPConnection(self.address.removeprefix("http://"), timeout=2)
        try:
            os.kill(self.process, 0)  # else another program may have its port, and would get the key
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {self.key}"})
            return connection.getresponse().status == HTTPStatus.OK
        except TimeoutError:
            return True
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


class Server(httpx2.Auth):
    """The server of one model file: as the clients' way to authenticate it starts the server before each request.

    So a model stays usable after its server has ended, wherever the new one listens.
    """

    def __init__(self, path: Path, label: str, *, purpose: str = "server") -> None:
        self.path = path
        self.label = label
        stat = path.stat()
        identity = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {SLOTS} {CONTEXT}"
        self.file = cache_folder() / f"{purpose}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
        self._in_process = threading.Lock()

    @property
    def prompts(self) -> Path:
        """Folder of the prompts that a new server has read already."""
        return self.file.with_name(f"prompts-{self.file.stem.rpartition('-')[2]}-{version('xllamacpp')}")

    def running(self) -> Running:
        """Return the running server; start it, which takes seconds, if there is none.

        Raises:
            LocalModelError: The model cannot be loaded.
        """
        with self._in_process:
            if (running := self.look_up()) is not None:
                return running
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.file.with_suffix(".lock"), mode=0o600):
                return self.look_up() or self._start()

    def look_up(self) -> Running | None:
        """Return the server that this program or another one has started, if it still answers."""
        try:
            running = Running(**json.loads(self.file.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return running if running.answers() else None

    def _start(self) -> Running:
        key = secrets.token_urlsafe(32)
        settings = {"path": str(self.path.resolve()), "name": self.label, "key": key, "threads": _cores()}
        limits = {"slots": SLOTS, "context": CONTEXT, "prompt_cache": PROMPT_CACHE, "prompts": str(self.prompts)}
        ending = {"idle_seconds": _idle_seconds(), "file": str(self.file)}
        process = subprocess.Popen(  # noqa: S603
            # Isolated: no module of the current or the script's folder hides another one.
            [sys.executable, "-I", str(Path(__file__).with_name("server_process.py"))],
            stdin=subprocess.PIPE,  # Not in its arguments, which everybody on the machine can read.
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self.file.parent,
            start_new_session=True,  # It outlives this program, its terminal and its Ctrl-C.
            # Threads that spin while they wait slow a busy machine down to 1 or 2 tokens a second.
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        )
        try:
            running = Running(self._load(process, settings | limits | ending), key, process.pid)
            self._write(running)
        except BaseException:  # Ctrl-C too
            process.kill()
            process.wait()
            raise
        process.returncode = 0  # It outlives this program, which else would warn that a child still runs.
        return running

    def _write(self, running: Running) -> None:
        self.file.unlink(missing_ok=True)
        with open(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(running), file)

    def _load(self, process: subprocess.Popen[str], settings: Mapping[str, object]) -> str:
        """Wait until the child has loaded the model, and return its address."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        with process.stdin, process.stdout:
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
            reply = json.loads(process.stdout.readline() or "{}")
        if "address" not in reply:
            reason = reply.get("error", "the runtime ended at once")
            raise LocalModelError(f"{self.path.name} could not be loaded: {reason}")
        return str(reply["address"])

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        """Send a request to the running server."""
        yield self._addressed(request, self.running())

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request to the running server."""
        yield self._addressed(request, await asyncio.to_thread(self.running))

    def _addressed(self, request: httpx2.Request, running: Running) -> httpx2.Request:
        address = httpx2.URL(running.address)
        request.url = request.url.copy_with(host=address.host, port=address.port)
        request.headers["Host"] = f"{address.host}:{address.port}"
        request.headers["Authorization"] = f"Bearer {running.key}"
        return request


def available(name: str = DEFAULT) -> bool:
    """Return whether runtime and weights are there, without loading or fetching anything."""
    return importlib.util.find_spec("xllamacpp") is not None and find(name) is not None


def local_model(name: str | None = None, **kwargs: object) -> ChatOpenAI:
    """Return a chat model that runs on this machine; loads it, which takes seconds, if no program has done so.

    In async code call it in a thread (`asyncio.to_thread`), because loading blocks. `kwargs` go to `ChatOpenAI` and
    replace what is set here.

    Raises:
        NoModelError: The runtime or the weights are missing.
        LocalModelError: The model cannot be loaded.
    """
    server = server_of(name)
    server.running()
    if kwargs:
        return chat(server, kwargs)
    with _lock:
        if server not in _chats:
            _chats[server] = chat(server, {})
        return _chats[server]


def server_of(name: str | None) -> Server:
    """Return the server of a model that is on this machine; does not start it."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise NoModelError(f"The local model needs its runtime: {install_hint('local')}")
    path = find(name or DEFAULT)
    if path is None:
        command = f"podium model pull {name}" if name else "podium model pull"
        raise NoModelError(f"The weights of {name or DEFAULT} are not on this machine: run `{command}`")
    label = path.stem if own_file() else name or DEFAULT
    with _lock:
        return _servers.setdefault((path, label, cache_folder()), Server(path, label))


def chat(server: Server, kwargs: dict[str, object]) -> ChatOpenAI:
    """Return the chat model of a server."""
    settings: dict[str, Any] = {
        "base_url": "http://127.0.0.1/v1",  # The server says which port, before each request.
        "api_key": PLACEHOLDER_KEY,
        "auth": server,
        "temperature": 0,
        "max_tokens": REPLY_LIMIT,
        "timeout": TIMEOUT_SECONDS,
        "stream_chunk_timeout": TIMEOUT_SECONDS,  # a busy machine may read a prompt for minutes before the first word
        "profile": PROFILE,
        "trust_env": False,  # A proxy cannot reach the loopback interface.
    }
    return openai_chat(server.label, **(settings | kwargs))


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _idle_seconds() -> float:
    try:
        return max(1.0, float(os.environ.get("PODIUM_MODEL_IDLE_SECONDS") or IDLE_SECONDS))
    except ValueError as error:
        raise ConfigurationError("PODIUM_MODEL_IDLE_SECONDS must be a number of seconds") from error


_lock = threading.Lock()
_servers: dict[tuple[Path, str, Path], Server] = {}
_chats: dict[Server, ChatOpenAI] = {}
