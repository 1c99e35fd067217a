"""Work beyond one process: steps on other machines, and a queue of runs for workers.

queue      runs over workers: a queue of runs in Postgres
worker     a worker of that queue; at_work: one of its runs; own_loops: event loops for code that may block
jobs       the queue's tables
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.distributed.jobs import Job
    from graphs.distributed.queue import Graphs, Queue, load_graphs
    from graphs.distributed.worker import Worker

__all__ = ["Graphs", "Job", "Queue", "Worker", "load_graphs"]

_MODULES = {"Graphs": "queue", "Job": "jobs", "Queue": "queue", "Worker": "worker", "load_graphs": "queue"}
__getattr__ = lazily(__name__, _MODULES)
