"""Run the local model behind a loopback server: weights -> server (once per process) -> ChatOpenAI."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from langchain_core.language_models import ModelProfile
from langchain_openai import ChatOpenAI

from agents.errors import NoModelError, PodiumError
from agents.models.local.weights import DEFAULT, find, own_file
from agents.models.openai_compatible import openai_chat

SLOTS = 2
"""Requests answered at once, others wait. On two cores two together take a little less time than one after the
other, and a short one need not wait for a long one; each further slot costs 0.25 GB."""
CONTEXT = 8192
"""Tokens of prompt and reply together, per request."""
REPLY_LIMIT = 2048
"""Tokens of one reply, so that a model caught in a loop ends within minutes (finish_reason `length`)."""
TIMEOUT_SECONDS = 600.0

PROFILE = ModelProfile(
    max_input_tokens=CONTEXT,
    max_output_tokens=REPLY_LIMIT,
    tool_calling=False,
    structured_output=True,
)
"""`tool_calling` is False although requests with tools are accepted: the calls come back as text."""


class _Server:
    """A child process that serves one model file; it ends when this process does, however that ends."""

    def __init__(self, path: Path, label: str) -> None:
        script = Path(__file__).with_name("server_process.py")
        numbers = map(str, (SLOTS, CONTEXT, _cores()))
        # -P: the script's folder must not become importable, its modules would hide others.
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", str(script), str(path), label, *numbers],
            stdin=subprocess.PIPE,  # Its end tells the child to stop.
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Threads that spin while they wait slow a busy machine down to 1 or 2 tokens a second.
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        )
        try:
            self.address = self._wait_until_loaded(path)
        except BaseException:  # Ctrl-C too
            self.stop()
            raise

    def _wait_until_loaded(self, path: Path) -> str:
        assert self.process.stdout is not None  # noqa: S101
        said = json.loads(self.process.stdout.readline() or "{}")
        if "address" not in said:
            raise LocalModelError(f"{path.name} could not be loaded: {said.get('error', 'the runtime ended at once')}")
        return str(said["address"])

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


class LocalModelError(PodiumError):
    """The runtime could not load the model, mostly for want of memory or because the file is no GGUF file."""


def available(name: str = DEFAULT) -> bool:
    """Tell whether runtime and weights are there, without loading or fetching anything."""
    return importlib.util.find_spec("xllamacpp") is not None and find(name) is not None


def local_model(name: str | None = None, **kwargs: Any) -> ChatOpenAI:
    """Give a chat model that runs on this machine; the first call loads it, which takes seconds.

    `kwargs` go to `ChatOpenAI` and replace what is set here. `NoModelError` when the runtime or the weights
    are missing. In async code call it in a thread (`asyncio.to_thread`), because loading blocks.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise NoModelError("The local model needs its runtime: pip install -e '.[local]'")
    path = find(name or DEFAULT)
    if path is None:
        command = f"podium model pull {name}" if name else "podium model pull"
        raise NoModelError(f"The weights of {name or DEFAULT} are not on this machine: run `{command}`")
    label = path.stem if own_file() else name or DEFAULT
    with _lock:
        address = _serve(path, label).address
        if kwargs:
            return _chat(label, address, kwargs)
        if (label, address) not in _chats:
            _chats[label, address] = _chat(label, address, {})
        return _chats[label, address]


def _chat(label: str, address: str, kwargs: dict[str, Any]) -> ChatOpenAI:
    settings: dict[str, Any] = {
        "base_url": f"{address}/v1",
        "api_key": "local",
        "temperature": 0,
        "max_tokens": REPLY_LIMIT,
        "timeout": TIMEOUT_SECONDS,
        "profile": PROFILE,
        # Costs nothing on the loopback interface, and leaves no open socket behind when a model is dropped.
        "default_headers": {"Connection": "close"},
        "trust_env": False,  # A proxy cannot reach the loopback interface.
    }
    return openai_chat(label, **(settings | kwargs))


def _serve(path: Path, label: str) -> _Server:
    """Give the server of this file, started when there is none or when it died."""
    server = _servers.get(path)
    if server is None or not server.running:
        server = _servers[path] = _Server(path, label)
    return server


def _cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@atexit.register
def _stop() -> None:
    for server in _servers.values():
        server.stop()


_lock = threading.Lock()
_servers: dict[Path, _Server] = {}
_chats: dict[tuple[str, str], ChatOpenAI] = {}
