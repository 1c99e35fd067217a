"""The command in this process, and in real ones that start in no time: forked from one that has imported everything.

    with Processes(folder) as processes:
        done = processes.podium("runs", "--json")           # in this process: done.code, done.out, done.told
        one = processes.start("Do it"); one.until("running"); one.send(signal.SIGINT); one.wait()

Each has its own standard streams, environment and folder; a real process also signals, modules, and perhaps a terminal.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Self, TextIO

import pytest
from filelock import FileLock

from graphs.cli import command
from tests.waiting import PATIENCE

ROOT = Path(__file__).parent.parent
_PAUSE = 0.02
FROM_LANGSMITH = "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning"
"""With Python 3.14."""
_SERVE = "import sys; from tests.fork_server import serve; serve(sys.argv[1])"


@dataclass(frozen=True)
class Done:
    """How a process ended: its exit code (negative: by a signal), and what it wrote."""

    code: int
    out: str
    told: str


@dataclass
class One:
    """A process at work."""

    pid: int
    poll: Callable[[int], int | None]
    out: Path
    told: Path
    terminal: int | None = None
    said: str = field(default="", repr=False)

    def until(self, text: str) -> str:
        """Wait until it has written something to stderr, or to its terminal."""
        until = time.monotonic() + PATIENCE
        while text not in (written := self._written()):
            if time.monotonic() > until or (self.terminal is None and self.poll(self.pid) is not None):
                pytest.fail(f"{text!r} did not come: {written + self._written()}")
            time.sleep(_PAUSE)
        return written

    def _written(self) -> str:
        if self.terminal is None:
            return self.told.read_text()
        while select.select([self.terminal], [], [], 0)[0]:
            try:
                self.said += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:  # it has ended
                break
        return self.said

    def type(self, text: str) -> None:
        """Type a line at its terminal."""
        assert self.terminal is not None
        self.said = ""
        os.write(self.terminal, text.encode())

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> Done:
        """Wait for its end."""
        until = time.monotonic() + PATIENCE
        while (code := self.poll(self.pid)) is None:
            self._written()
            if time.monotonic() > until:
                os.killpg(self.pid, signal.SIGKILL)  # its editor too
                pytest.fail(f"It goes on: {self.told.read_text()}{self._written()}")
            time.sleep(_PAUSE)
        told = self._written()
        if self.terminal is not None:
            os.close(self.terminal)
        return Done(code, self.out.read_text(), told)


class Processes:
    """Starts processes; `environment` and `folder` are those of all."""

    def __init__(self, folder: Path, shared: Path | None = None) -> None:
        private = ("PODIUM", "OPENAI", "LANGSMITH", "LANGCHAIN")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(private)}
        kept |= {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm", "LINES": "24"}
        self.folder = folder
        self.environment = {**kept, "PODIUM_CACHE": f"{folder}/cache", "PODIUM_RUNS": f"{folder}/runs.sqlite"}
        self._count = 0
        self._ended: dict[int, int] = {}
        self._shared = shared or folder
        self._connections: list[TextIO] = []
        self._servers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        for server in self._servers:
            server.communicate()  # it ends with the last of the workers that share it

    @property
    def _connection(self) -> TextIO:
        """Connect to the process that the others are forked from, which the first who needs it starts."""
        if not self._connections:
            with FileLock(self._shared / "processes.lock"):
                try:
                    self._connections.append(self._connected())
                except OSError:
                    self._start_server()
                    self._connections.append(self._connected())
        return self._connections[0]

    def _connected(self) -> TextIO:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._shared / "processes"))
            stream = connection.makefile("rw")
        if stream.readline() != "ready\n":  # it is about to end
            stream.close()
            raise ConnectionError
        return stream

    def _start_server(self) -> None:
        command = [sys.executable, "-W", "error", "-W", FROM_LANGSMITH, "-c", _SERVE, str(self._shared / "processes")]
        start = partial(subprocess.Popen, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._servers.append(start(command, env=self.environment))
        assert self._servers[-1].stdout
        assert self._servers[-1].stdout.readline() == "ready\n"

    def moved_to(self, folder: Path) -> Self:
        """Return the same with another folder."""
        other = copy(self)
        there = {"PODIUM_CACHE": f"{folder}/cache", "PODIUM_RUNS": f"{folder}/runs.sqlite"}
        other.folder, other.environment = folder, self.environment | there
        return other

    def podium(self, *arguments: str, stdin: str | bytes = "", **environment: str) -> Done:
        """Run the command in this process."""
        written = stdin if isinstance(stdin, bytes) else stdin.encode()
        streams = [TextIOWrapper(BytesIO(content), "utf-8", write_through=True) for content in (written, b"", b"")]
        modules = set(sys.modules)
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - self.environment.keys():
                patch.delenv(name)
            for name, value in (self.environment | environment).items():
                patch.setenv(name, value)
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            patch.setattr(sys, "path", [*sys.path])
            patch.chdir(self.folder)
            code = command(arguments)
        for name in sys.modules.keys() - modules:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(self.folder)):
                del sys.modules[name]
        out, told = (stream.detach().getvalue().decode() for stream in streams[1:])  # type: ignore[attr-defined]
        return Done(code, out, told)

    def module(self, name: str, *arguments: str) -> Done:
        """Run a module as `python -m` does, to its end."""
        run = f"import runpy, sys; sys.argv = {[name, *arguments]}; runpy.run_module({name!r}, run_name='__main__')"
        return self.start(script=run).wait()

    def start(self, *arguments: str, script: str = "", terminal: bool = False, **environment: str) -> One:
        """Start the command, or a script."""
        self._count += 1
        paths = [self.folder / f"{self._count}.{name}" for name in ("in", "out", "told")]
        for path in paths:
            path.touch()
        streams, ends = [str(path) for path in paths], None
        if terminal:
            ends = os.openpty()
            streams[0] = streams[2] = os.ttyname(ends[1])
        order = {
            "arguments": arguments,
            "script": script,
            "streams": streams,
            "environment": self.environment | environment,
            "folder": str(self.folder),
        }
        pid = int(self._asked(order))
        self._ended.pop(pid, None)  # of an earlier process: the system uses ids again
        one = One(pid, self._poll, paths[1], paths[2], ends[0] if ends else None)
        if ends:
            self._keep_open(one, ends[1])
        return one

    def _keep_open(self, one: One, other_end: int) -> None:
        """Close our copy of the process's end of its terminal as soon as the process has opened it."""
        until = time.monotonic() + PATIENCE
        while not select.select([one.terminal], [], [], _PAUSE)[0] and time.monotonic() < until:
            if one.poll(one.pid) is not None:
                break
        os.close(other_end)

    def _poll(self, pid: int) -> int | None:
        if pid in self._ended:
            return self._ended[pid]
        answer = self._asked({"poll": pid})
        if answer == "at work":
            return None
        self._ended[pid] = int(answer)
        return self._ended[pid]

    def _asked(self, order: object) -> str:
        print(json.dumps(order), file=self._connection, flush=True)
        return self._connection.readline().strip()
