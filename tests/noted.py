"""Agents whose calls outlive their process, and work in a process of its own."""

import os
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Noted:
    """Agents that note each call in a file, and can have the process killed in one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, what: str) -> str:
        with (self.folder / "calls").open("a") as calls:
            calls.write(f"{what}\n")
        return f"{what} done"

    def die_once(self, what: str) -> str:
        if not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self(what)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().split()


def elsewhere(work: Any, *arguments: Any) -> int | None:
    """Do some work in a new process, and return its exit code."""
    context = get_context("forkserver")  # imports once what each process would import
    context.set_forkserver_preload(["graphs.orchestrator", "tests.noted"])
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join(PATIENCE)
    return process.exitcode
