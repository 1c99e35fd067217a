"""A real `langgraph dev` in a process of its own, with the real langgraph.json, and the endpoint that its agents ask.

with ServerProcess(folder, OPENAI_BASE_URL=endpoint.url) as server:
    client = get_client(url=server.url)
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from agents.testing import Reply
from tests.office import Office
from tests.waiting import PATIENCE

ROOT = Path(__file__).parent.parent
TOKEN = "a-token/of.our=own"
_PAUSE = 0.05

OWN_DESCRIPTION = "A graph of the user's own, beside those of the project."
OWN = """
from langchain.agents import create_agent
from langgraph.graph import MessagesState, StateGraph

from agents.testing import Reply, ScriptedModel

def price(thing: str) -> str:
    \"\"\"Tell a price.\"\"\"
    return f"{thing} costs 3"

call = {"name": "price", "args": {"thing": "tea"}, "id": "1"}
clerk = create_agent(ScriptedModel([Reply(tool_calls=[call]), "Tea costs 3."], repeat=True), tools=[price])

def fail(state: MessagesState) -> MessagesState:
    raise ValueError("there is no ink")

broken = StateGraph(MessagesState).add_node(fail).set_entry_point("fail").compile()
"""


def with_own_graphs(folder: Path) -> Path:
    """Write the project's langgraph.json with two more graphs, beside what an earlier server left readable for all."""
    settings = json.loads((ROOT / "langgraph.json").read_text())
    settings["graphs"] |= {
        name: {"path": f"my_office:{name}", "description": OWN_DESCRIPTION} for name in ("clerk", "broken")
    }
    (folder / "my_office.py").write_text(OWN)
    (folder / "langgraph.json").write_text(json.dumps(settings))
    (folder / ".langgraph_api").mkdir(mode=0o755)
    (folder / ".langgraph_api" / "old.pckl").touch(mode=0o644)
    return folder


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class ServerProcess:
    """What it writes is in `log`; it runs in `folder`, with no key, no model and no settings but the given ones.

    It serves the project's langgraph.json, or that of `folder` if there is one.
    """

    def __init__(self, folder: Path, **environment: str | None) -> None:
        private = ("PODIUM", "OPENAI", "LANG", "LOG")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(private)}
        quiet = {"LANGGRAPH_NO_VERSION_CHECK": "true", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
        self.environment = {**kept, **quiet, "PYTHONPATH": str(ROOT)}
        self.environment |= {"PODIUM_CACHE": f"{folder}/cache", "XDG_DATA_HOME": f"{folder}/data"}
        chosen = {"PODIUM_TOKEN": "none", **environment}
        self.environment |= {name: value for name, value in chosen.items() if value is not None}
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client(self, token: str = "") -> SyncLangGraphClient:
        """Return a client."""
        return get_sync_client(url=self.url, headers={"authorization": f"Bearer {token}"} if token else {})

    def start(self) -> None:
        """Start it, and wait until it serves."""
        own = self.folder / "langgraph.json"
        config = own if own.exists() else ROOT / "langgraph.json"
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(config)]
        options = ["--port", str(self.port), "--no-browser", "--no-reload", "--n-jobs-per-worker", "10"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command + options,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and whatever it started."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _wait_until_up(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._healthy():
            assert self.process.poll() is None, f"The server ended: {self.log.read_text()}"
            assert time.monotonic() < until, f"The server does not come up: {self.log.read_text()}"
            time.sleep(_PAUSE)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ok", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class Desk(Office):
    """An office that serves test after test: `fresh` forgets the last one.

    A `slow` step is answered once `released` is set; with `together` every call waits until as many are there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.together: threading.Barrier | None = None
        self.released = threading.Event()

    def fresh(self, *, route: str = "writer", slow: str = "", together: int = 0) -> None:
        """Forget the last test."""
        self.requests.clear()
        self.asked.clear()
        self.released.clear()
        self.route, self.slow = route, slow
        self.together = threading.Barrier(together, timeout=PATIENCE) if together else None

    def until_asked(self, who: str) -> None:
        """Wait until an agent, or a step's agent, is asked."""
        until = time.monotonic() + PATIENCE
        while who not in self.asked:
            assert time.monotonic() < until, f"{who} was not asked, only {self.asked}"
            time.sleep(_PAUSE)

    def reply_to(self, request: dict[str, Any], headers: dict[str, str]) -> Reply | str:
        reply = super().reply_to(request, headers)
        if self.together is not None:
            self.together.wait()
        if isinstance(reply, str):
            return reply
        self.released.wait(PATIENCE)
        return "late"
