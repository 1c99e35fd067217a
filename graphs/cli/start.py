"""Getting ready to run for a person: the storage is opened, the model is found, the graph is built; then it works."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console
from rich.text import Text

from agents.errors import ConfigurationError, StorageError
from agents.models import chat_model, model_name
from graphs import storage as stores
from graphs.cli.recipe import Recipe
from graphs.cli.run import Job, work
from graphs.engine import StepRecord, ThreadLock
from graphs.storage import State, Storage

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Of run ids: no characters that look alike."""
_ID_LENGTH = 5
_NAME = re.compile(r"\w[\w.\-]{0,99}")


@dataclass(frozen=True)
class Shown:
    """How a run is shown."""

    as_json: bool = False
    quiet: bool = False


@contextmanager
def opened(*, only_if_there: bool = False) -> Iterator[Storage]:
    """Open where runs are stored: the file or Postgres database that PODIUM_RUNS names, else the default file.

    Raises:
        StorageError: It cannot be used; `only_if_there`: nothing was ever stored.
    """
    where = place()
    if isinstance(where, str):
        with stores.postgres(where) as opened:
            yield opened
        return
    if only_if_there and not where.exists():
        raise StorageError(f"No runs are stored yet: there is no {where}")
    with stores.sqlite(where) as opened:
        yield opened


def place() -> Path | str:
    """Return the file in which runs are stored, or the address of the Postgres database."""
    named = os.environ.get(stores.PATH_VARIABLE, "")
    return named if named.startswith(("postgres://", "postgresql://")) else stores.default_path()


def new_id(runs: Storage) -> str:
    """Return an id that no stored run has."""
    while True:
        name = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
        if find(runs, name) is None:
            return name


def find(runs: Storage, name: str) -> State | None:
    """Return what is stored of a run; None if there is none."""
    if runs.get_tuple({"configurable": {"thread_id": name}}) is None:
        return None
    return stores.state(runs, name)


def check_name(name: str) -> str:
    """Return the name of a conversation, if it can be one."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for a conversation; use letters, digits, '-', '_' and '.'")
    return name


def begin(
    recipe: Recipe,
    given: Any,
    shown: Shown,
    *,
    runs: Storage | None = None,
    lock: ThreadLock | None = None,
    name: str | None = None,
    before: State | None = None,
) -> int:
    """Build a run's graph, and start it or go on with it; return the exit code."""
    recipe.check()
    model = ready(recipe.model or None, quiet=shown.quiet)
    recipe = recipe.with_model(model)
    agents = recipe.agents(model)
    for agent in agents:
        chat_model(agent.model)  # a model that a team file names and that cannot be had is found before the run
    graph = recipe.build(agents, model).compile(runs or InMemorySaver())
    if name and not shown.quiet:
        say(f"run {name}")
    config: RunnableConfig = {"configurable": {"thread_id": name or "unstored"}, "metadata": recipe.metadata()}
    return work(
        Job(
            graph,
            given,
            config=lock.mark(config) if lock else config,
            context=recipe.context(),
            name=name,
            known=_finished(before) if before else {},
            as_json=shown.as_json,
            quiet=shown.quiet,
        )
    )


def _finished(before: State) -> dict[str, StepRecord]:
    # What an item of a `for_each` step has written looks like a record too, but says nothing of when.
    return {one["id"]: cast(StepRecord, one) for one in before["finished"] if one.get("ended")}


def ready(name: str | None, *, quiet: bool) -> BaseChatModel:
    """Get the model ready, which takes seconds if it is the local one, and say which it is."""
    from agents.models.local import PROFILE

    console = Console(stderr=True, highlight=False)
    with console.status("getting the model ready"):
        model = chat_model(name)
    if not quiet:
        local = ", small and on this machine; its answers may be wrong" if model.profile == PROFILE else ""
        say(f"Model: {model_name(model)}{local}")
    return model


def say(text: str) -> None:
    """Tell the person something beside the answer."""
    Console(stderr=True, highlight=False).print(Text(text, "dim"), soft_wrap=True)
