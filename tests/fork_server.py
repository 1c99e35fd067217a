"""A process that has imported what the tests' processes would import, and that they are forked from.

It takes orders, a line of JSON each, at a socket: what to start, or which process to look after. It ends with its last
client.
"""

import gc
import json
import os
import select
import socket
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from operator import attrgetter
from pkgutil import walk_packages
from typing import Any, TextIO

import openai

import agents.models
import agents.teams
import agents.tools
import graphs.cli
import graphs.show
import graphs.storage

NEEDED_LATER = (
    *("anyio._backends._asyncio", "httpcore2", "langchain_openai", "langgraph.checkpoint.sqlite.aio"),
    *("rich.status", "graphs.server.exports"),
)


def import_everything() -> None:
    """Import what each process would import itself, also at its first call."""
    for name in NEEDED_LATER:
        import_module(name)
    for package in (agents.models, agents.teams, agents.tools, graphs.cli, graphs.show, graphs.storage):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                with suppress(ImportError):
                    import_module(module.name)
    agents.teams.team()
    agents.models.openai_chat("none", api_key="none")
    attrgetter("chat.completions", "beta.chat", "responses")(openai.OpenAI(api_key="none"))  # imported when asked for


def become(order: dict[str, Any]) -> int:
    """Turn this process into the one that is ordered, and return its exit code."""
    os.setsid()
    for number, path in enumerate(order["streams"]):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY
        os.dup2(os.open(path, os.O_RDWR if path.startswith("/dev/") else flags), number)
    opened = [open(number, mode, closefd=False) for number, mode in enumerate("rww")]  # noqa: SIM115 - kept open
    sys.stdin, sys.stdout, sys.stderr = opened
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    try:
        if order["script"]:
            exec(order["script"], {"__name__": "__main__"})
        else:
            graphs.cli.main(order["arguments"])
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def answer(order: dict[str, Any], listening: socket.socket) -> object:
    """Return the id of the process that is started, or the exit code of one that has ended."""
    if child := order.get("poll"):
        done, status = os.waitpid(child, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if done else "at work"
    if (child := os.fork()) == 0:
        listening.close()
        code = become(order)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return child


def serve(path: str) -> None:
    """Take orders until the last client has left."""
    import_everything()
    gc.freeze()  # what is never collected is never copied either
    with suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        clients: dict[socket.socket, TextIO] = {}
        while True:
            for ready in select.select([listening, *clients], [], [])[0]:
                if ready is listening:
                    client = listening.accept()[0]
                    clients[client] = client.makefile("rw")
                    print("ready", file=clients[client], flush=True)
                elif order := clients[ready].readline():
                    print(answer(json.loads(order), listening), file=clients[ready], flush=True)
                else:
                    clients.pop(ready).close()
                    ready.close()
            if not clients:
                return
