"""Storage of runs: finished work survives a killed process.

checkpointer  Storage: a checkpointer for sync and async graphs over LangGraph's blocking savers
sqlite        runs in a file
postgres      runs in a database, shared by machines
locks         one run, one worker: locks of threads against other processes
serializer    serializers of stored values
history       stored runs, and the questions that wait for people
fork          copies of a run that start again at a point
"""

from graphs.storage.checkpointer import Storage
from graphs.storage.fork import ForkPoint, copy_run, find_point, fork_points
from graphs.storage.history import State, StoredRun, Waiting, inbox, runs, state
from graphs.storage.postgres import connected, connection_pool, postgres
from graphs.storage.serializer import strict
from graphs.storage.sqlite import PATH_VARIABLE, default_path, make_private, sqlite

__all__ = [
    "PATH_VARIABLE",
    "ForkPoint",
    "State",
    "Storage",
    "StoredRun",
    "Waiting",
    "connected",
    "connection_pool",
    "copy_run",
    "default_path",
    "find_point",
    "fork_points",
    "inbox",
    "make_private",
    "postgres",
    "runs",
    "sqlite",
    "state",
    "strict",
]
