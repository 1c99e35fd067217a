"""Work beyond one process: steps on other machines, and a queue of runs for workers.

executor     agents whose assignments are worked on elsewhere, behind any executor
remote_work  the work of a worker, and what passes between them as bytes
prefect      Prefect as such an executor
queue        runs over workers: a queue of runs in Postgres
worker       a worker of that queue; at_work: one of its runs
jobs         the queue's tables
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily
from graphs.distributed.executor import on
from graphs.distributed.jobs import QUEUE_JOB, QueuedRun
from graphs.distributed.prefect import PrefectExecutor
from graphs.distributed.queue import Graphs, Queue

if TYPE_CHECKING:
    from graphs.distributed.worker import Worker

__all__ = ["QUEUE_JOB", "Graphs", "PrefectExecutor", "Queue", "QueuedRun", "Worker", "on"]

__getattr__ = lazily(__name__)  # needs the extra podium[queue]
