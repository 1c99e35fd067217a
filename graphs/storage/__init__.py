"""Where runs are kept: checkpointers for SQLite and Postgres, the history of runs, forks and locks."""

from graphs.storage.checkpointer import Storage
from graphs.storage.databases import PATH_VARIABLE, default_path, postgres, sqlite
from graphs.storage.history import Run, State, runs, state
from graphs.storage.locks import at_work, is_at_work

__all__ = [
    "PATH_VARIABLE",
    "Run",
    "State",
    "Storage",
    "at_work",
    "default_path",
    "is_at_work",
    "postgres",
    "runs",
    "sqlite",
    "state",
]
