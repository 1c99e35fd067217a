"""A worker: takes runs from the queue, does them with checkpoints in Postgres, and takes over those of dead workers.

    take -> (lock of the thread) -> begin | go on -> ended, or waits for a person
                                                  -> put back (drained) | failed | cancelled

A worker sends a heartbeat. Of one that has sent none for `takeover_after` seconds any other ends the connections, and
with them its locks, and puts its runs back; they go on from their checkpoints.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, cast

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl

from agents.errors import ConfigurationError, StorageError
from agents.runtime import install_hint, masked
from graphs.distributed import jobs
from graphs.distributed.at_work import WaitsForAnswerError, do_run, in_background
from graphs.distributed.jobs import Arguments
from graphs.distributed.queue import Queue
from graphs.engine import compiled
from graphs.storage import connected, postgres

try:
    from procrastinate import App, PsycopgConnector
    from procrastinate.exceptions import ConnectorException
    from procrastinate.job_context import AbortReason, JobContext
    from procrastinate.jobs import Job as Row
    from procrastinate.jobs import Status
    from procrastinate.manager import JobManager
    from procrastinate.worker import Worker as ProcrastinateWorker
    from psycopg.conninfo import make_conninfo
except ImportError as error:
    raise ConfigurationError(f"A worker needs an extra: {install_hint('queue')}") from error

_BEATS = 3
"""Heartbeats within the time after which a worker counts as stalled."""
_POLL = 2.0
"""Polling interval, in seconds, for new runs, beside notifications."""
_PUT_OFF = 10.0
"""Seconds before a message is tried again whose thread waits for an answer."""
_PAUSE = 1.0
"""Seconds before a run is tried again whose storage failed."""
_FORGOTTEN = 60.0
"""Seconds for which a stalled worker's row is kept after its runs were taken over."""


class _OwnJobs(JobManager):
    """Procrastinate's job manager for one worker, which ends no job that another worker has taken over."""

    def __init__(self, connector: PsycopgConnector, worker_id: int) -> None:
        super().__init__(connector)
        self.worker_id = worker_id
        self.endings: dict[int | None, tuple[Arguments, float | None]] = {}
        """Notes on jobs that did not succeed, by id, and the seconds after which each is put back, None if it failed.

        Procrastinate would log errors with inputs, if they were raised.
        """

    async def query(self, statement: str, **values: object) -> list[dict[str, Any]]:
        return await self.connector.execute_query_all_async(statement, worker=self.worker_id, **values)

    async def register_worker(self) -> int:
        return self.worker_id

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Do nothing: their runs are put back first."""
        return []

    async def unregister_worker(self, worker_id: int) -> None:
        """Do nothing: the next heartbeat would find no worker."""

    async def finish_job(self, job: Row, status: Status, delete_job: bool) -> None:
        if job.id in self.endings:
            notes, seconds = self.endings.pop(job.id)
            await self.query(jobs.NOTE, id=job.id, notes=notes)
            if seconds is not None:
                await self.query(jobs.PUT_BACK, id=job.id, seconds=seconds)
                return
            status, delete_job = Status.FAILED, False
        channel = jobs.channel_of(str(job.task_kwargs["thread_id"]))
        await self.query(jobs.FINISH_JOB, id=job.id, status=status.value, delete=delete_job, channel=channel)


class Worker:
    """Does the runs of a queue until `stop` is called.

    Args:
        queue: The queue, with its graphs.
        concurrency: Runs at work at a time.
        takeover_after: Seconds without a heartbeat after which other workers take its runs over, and it theirs.
        drain: Seconds that steps at work have when it stops; then they are cut off, and run again elsewhere.
        max_takeovers: Takeovers after which a run has failed: it may be what kills its workers.
        report: Gets a line about everything that happens.

    Raises:
        ConfigurationError: The queue has no graphs.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        concurrency: int = 1,
        takeover_after: float = 15.0,
        drain: float = 60.0,
        max_takeovers: int = 3,
        report: Callable[[str], object] = lambda line: None,
    ) -> None:
        if not queue.graphs:
            raise ConfigurationError('A worker needs graphs: Queue(uri, {"name": graph, …})')
        self._queue = queue
        self._concurrency = concurrency
        self._takeover_after, self._drain = takeover_after, drain
        self._max_takeovers = max_takeovers
        self._report = report
        self._controls: set[RunControl] = set()
        self._is_stopping = False
        self._stop: Callable[[], object] = lambda: None

    def stop(self) -> None:
        """Take no more runs, begin no more steps, and put the runs at work back; from any thread."""
        self._is_stopping = True
        for control in tuple(self._controls):
            control.request_drain("the worker stops")
        self._stop()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            ConfigurationError: A graph cannot be built.
            StorageError: The database cannot be used, or for too long could not.
        """
        self._queue.prepare()
        pool: dict[str, Any] = {"min_size": 1, "max_size": 4, "kwargs": {"prepare_threshold": None}}
        connector = PsycopgConnector(conninfo=self._queue.uri, **pool)
        app = App(connector=connector)
        try:
            async with app.open_async():
                worker_id = await app.job_manager.register_worker()
                self._jobs = app.job_manager = _OwnJobs(connector, worker_id)
                name = f"podium worker {worker_id}"  # by which another worker finds and ends the connections
                with postgres(make_conninfo(self._queue.uri, application_name=name)) as storage:
                    self._storage = storage
                    graphs = self._queue.graphs or {}
                    self._graphs = {name: compiled(graph, storage) for name, graph in graphs.items()}
                    await self._work(app)
        except ConnectorException as error:
            with connected(self._queue.uri):  # explains why the database cannot be used
                pass
            raise StorageError(f"Postgres cannot be used: {error.__cause__ or error}") from error

    async def _work(self, app: App) -> None:
        app.task(name=jobs.RUN, pass_context=True)(self._run)
        app.task(name=jobs.TIMER, pass_context=True)(self._ring)
        worker: Any = ProcrastinateWorker(
            app,
            queues=[jobs.queue_of(name) for name in self._graphs],
            concurrency=self._concurrency,
            fetch_job_polling_interval=_POLL,
            abort_job_polling_interval=_POLL,
            shutdown_graceful_timeout=self._drain,
            delete_jobs="successful",
            install_signal_handlers=False,
        )
        self._stop = worker.stop
        ended = asyncio.Event()
        alive = asyncio.create_task(self._stay_alive(ended))
        alive.add_done_callback(lambda _: self.stop())
        self._report(f"worker {self._jobs.worker_id} waits for runs of {', '.join(self._graphs)}")
        try:
            if not self._is_stopping:
                await worker.run()
        finally:
            ended.set()  # not `cancel`: Python 3.11 can lose a cancellation that meets the answer of a query
            await alive
            await JobManager.unregister_worker(self._jobs, self._jobs.worker_id)

    async def _stay_alive(self, ended: asyncio.Event) -> None:
        error = (
            f"Gave up after {self._max_takeovers + 1} workers died or stalled at work on this run, which may be what"
            " ends them; what it has finished is kept: podium resume goes on with it"
        )
        limits = {"seconds": self._takeover_after, "most": self._max_takeovers, "error": error}
        while await self._jobs.query(jobs.BEAT):
            for freed in await self._jobs.query(jobs.TAKE_OVER, **limits):
                what = "put back" if freed["status"] == "todo" else freed["status"]
                self._report(f"{freed['thread_id']}: {what}, because its worker died or stalled")
            await JobManager.prune_stalled_workers(self._jobs, self._takeover_after + _FORGOTTEN)
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._takeover_after / _BEATS)
            if ended.is_set():
                return
        raise StorageError("This worker sent no heartbeat for so long that others took over its runs; start it again")

    async def _ring(self, context: JobContext, /, **arguments: object) -> None:
        await asyncio.to_thread(self._queue.ring, context.job.id, cast(Arguments, arguments), context.job.priority)

    async def _run(self, context: JobContext, /, **stored: object) -> None:
        arguments, job, control = cast(Arguments, stored), context.job, RunControl()
        name = f"{arguments['thread_id']} ({arguments['graph']})"
        began = time.monotonic()
        self._controls.add(control)
        if self._is_stopping:
            control.request_drain("the worker stops")
        self._report(f"{name}: at work")

        def put_back(reason: str, seconds: float = 0.0, notes: Arguments | None = None) -> None:
            self._report(f"{name}: put back: {reason}")
            self._jobs.endings[job.id] = notes or {}, seconds

        try:
            await self._at_work(job, arguments, control)
            self._report(f"{name}: done in {time.monotonic() - began:.1f} s")
        except GraphDrained:
            put_back("the worker stops")
        except WaitsForAnswerError as waits:
            put_back(str(waits), _PUT_OFF)
        except asyncio.CancelledError:
            if context.abort_reason() is AbortReason.SHUTDOWN:
                put_back("cut off: the worker stops")
            else:
                self._report(f"{name}: cancelled")
            raise
        except Exception as error:
            reason = masked(f"{type(error).__name__}: {error}")
            if isinstance(error, StorageError) and arguments["takeovers"] < self._max_takeovers:
                put_back(reason, _PAUSE, {"takeovers": arguments["takeovers"] + 1})
            else:
                self._jobs.endings[job.id] = {"error": reason}, None
                self._report(f"{name}: failed: {reason}")
        finally:
            self._controls.discard(control)

    async def _at_work(self, job: Row, arguments: Arguments, control: RunControl) -> None:
        loop, graph = asyncio.get_running_loop(), self._graphs[arguments["graph"]]

        def query(statement: str, **values: object) -> Future[list[dict[str, Any]]]:
            return asyncio.run_coroutine_threadsafe(self._jobs.query(statement, **values), loop)

        # In the background, because this loop sends the heartbeats.
        work = partial(do_run, graph, job.id, arguments, storage=self._storage, control=control, query=query)
        await in_background(work)
