"""The jobs of the queue: rows of procrastinate's tables in Postgres, read and written by SQL.

A job is a run that waits for a worker or is at work, or a timer that puts a run when it is due. A job that has
succeeded is deleted: its run is in the storage. One that failed or was cancelled stays until its thread goes on.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, LiteralString, cast

from typing_extensions import TypedDict

from agents.errors import ConfigurationError
from graphs.storage import strict

if TYPE_CHECKING:
    from psycopg import Connection as AnyConnection

    Connection = AnyConnection[dict[str, Any]]

QUEUE_JOB = "queue_job"
"""Key of the metadata of a run's checkpoints: the job that wrote them."""

RUN, TIMER = "podium.run", "podium.timer"
"""Names of procrastinate's tasks."""

JobStatus = Literal["scheduled", "queued", "running", "failed", "cancelled"]

_SCHEMA_LOCK = 7_033_862_401
"""Number of the advisory lock of the process that makes the tables."""

_WAKE = """
CREATE OR REPLACE FUNCTION podium_wake_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('procrastinate_queue_v1#' || queue_name, '{"type": "job_inserted", "job_id": 0}')
        FROM procrastinate_jobs WHERE lock = OLD.lock AND status = 'todo';
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS podium_wake_workers ON procrastinate_jobs;
CREATE TRIGGER podium_wake_workers AFTER UPDATE OF status OR DELETE ON procrastinate_jobs
    FOR EACH ROW WHEN (OLD.status <> 'todo' AND OLD.task_name = 'podium.run') EXECUTE FUNCTION podium_wake_workers();
"""
"""Wakes workers for a run that was put back, or that waited for the run before it on its thread; procrastinate itself
wakes them for new jobs only."""

_JOBS = """
SELECT thread_id, graph, status, request, put, at, takeovers, error FROM (
    SELECT DISTINCT ON (args->>'thread_id') id, args->>'thread_id' AS thread_id, args->>'graph' AS graph,
        CASE WHEN status = 'doing' THEN 'running' WHEN status = 'failed' THEN 'failed'
            WHEN status <> 'todo' THEN 'cancelled' WHEN task_name = 'podium.timer' THEN 'scheduled'
            ELSE 'queued' END AS status,
        args->>'request' AS request, args->>'put' AS put, to_json(scheduled_at) #>> '{}' AS at,
        (args->>'takeovers')::int AS takeovers, coalesce(args->>'error', '') AS error
    FROM procrastinate_jobs
    WHERE starts_with(task_name, 'podium.') AND status <> 'succeeded'
        AND (%(thread)s::text IS NULL OR args->>'thread_id' = %(thread)s)
    ORDER BY args->>'thread_id', (status = 'doing') DESC, (status = 'todo') DESC, (task_name = 'podium.run') DESC,
        id DESC
) AS jobs ORDER BY id DESC
"""
CANCEL = """
SELECT procrastinate_cancel_job_v1(id, true, task_name = 'podium.timer') AS id FROM procrastinate_jobs
WHERE starts_with(task_name, 'podium.') AND args->>'thread_id' = %(thread)s AND status IN ('todo', 'doing')
"""
REVIVE = """
UPDATE procrastinate_jobs SET status = 'todo', abort_requested = false, scheduled_at = NULL, attempts = attempts + 1,
    priority = %(priority)s, args = args || '{"takeovers": 0, "error": ""}'
WHERE id = (SELECT max(id) FROM procrastinate_jobs WHERE lock = %(thread)s AND task_name = 'podium.run')
    AND status IN ('failed', 'cancelled', 'aborted')
RETURNING id
"""
PRUNE = """
DELETE FROM procrastinate_jobs WHERE starts_with(task_name, 'podium.') AND status IN ('failed', 'cancelled', 'aborted')
    AND (args->>'put')::timestamptz < %(before)s
RETURNING id
"""
TAKE_OVER = """
WITH stalled AS (
    SELECT id FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => %(seconds)s)
        FOR UPDATE SKIP LOCKED
), ended AS (  -- a worker that is stalled, not dead, would keep its locks of threads
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN stalled ON application_name = 'podium worker ' || id
), freed AS (
    UPDATE procrastinate_jobs SET worker_id = NULL, attempts = attempts + 1, abort_requested = false,
        status = (CASE WHEN abort_requested THEN 'aborted'
            WHEN (args->>'takeovers')::int >= %(most)s THEN 'failed' ELSE 'todo' END)::procrastinate_job_status,
        args = args || jsonb_build_object('takeovers', (args->>'takeovers')::int + 1)
            || CASE WHEN (args->>'takeovers')::int >= %(most)s
                THEN jsonb_build_object('error', %(error)s::text) ELSE '{}' END
    WHERE status = 'doing' AND starts_with(task_name, 'podium.')
        AND (worker_id IS NULL OR worker_id IN (SELECT id FROM stalled))
    RETURNING status::text, args->>'thread_id' AS thread_id
)
SELECT freed.*, (SELECT count(*) FROM ended) AS connections FROM freed
"""
"""Puts the runs of workers without heartbeat back, and gives those up that were taken over too often."""

FINISH_JOB = """
WITH mine AS (
    SELECT id, lock FROM procrastinate_jobs WHERE id = %(id)s AND worker_id = %(worker)s AND status = 'doing' FOR UPDATE
), earlier AS (
    DELETE FROM procrastinate_jobs WHERE %(delete)s AND lock = (SELECT lock FROM mine) AND id < %(id)s
        AND task_name = 'podium.run' AND status IN ('failed', 'cancelled', 'aborted')
)
SELECT procrastinate_finish_job_v1(id, %(status)s, %(delete)s), pg_notify(%(channel)s, '[]') FROM mine
"""
"""Ends a job, unless another worker has taken it over."""

PUT_BACK = """
WITH mine AS (
    SELECT id, abort_requested FROM procrastinate_jobs
    WHERE id = %(id)s AND worker_id = %(worker)s AND status = 'doing' FOR UPDATE
)
SELECT CASE WHEN abort_requested THEN procrastinate_finish_job_v1(id, 'aborted', false)
    ELSE procrastinate_retry_job_v2(id, now() + make_interval(secs => %(seconds)s), NULL, NULL, NULL) END FROM mine
"""
NOTE = """
UPDATE procrastinate_jobs SET args = args || %(notes)s::jsonb WHERE id = %(id)s AND worker_id = %(worker)s RETURNING id
"""
DELETE = "DELETE FROM procrastinate_jobs WHERE id = %(id)s AND status = 'doing' RETURNING id"
BEAT = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %(worker)s RETURNING id"
NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"


class Arguments(TypedDict, total=False):
    """Data stored with a job."""

    graph: str
    thread_id: str
    input: str
    """Input as `encode` writes it."""
    resume: object
    """An answer, or answers by the ids of their questions."""
    asked: dict[str, str]
    """Digests of the questions that `resume` answers, by their ids: it answers no later question."""
    context: dict[str, Any] | None
    request: str
    """The beginning of the request, for lists."""
    put: str
    """When it was put: ISO 8601, UTC."""
    takeovers: int
    error: str
    cron: str


class QueuedRun(TypedDict):
    """A run that waits for a worker, is at work, failed for good or was cancelled; or one that is scheduled."""

    thread_id: str
    """Id of the run's thread; of a schedule (`cron`) its name, with which the ids of its runs begin."""
    graph: str
    status: JobStatus
    request: str
    put: str
    at: str | None
    """When a scheduled run is put: ISO 8601."""
    takeovers: int
    """Times it was taken over from a worker that died or stalled."""
    error: str
    """Why it failed for good."""


def make_tables(connection: Connection) -> None:
    """Make procrastinate's tables and our trigger, if they are missing; of several processes one at a time."""
    from procrastinate.schema import SchemaManager

    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        if not _tables_exist(connection):
            connection.execute(SchemaManager.get_schema())
        if _value(connection, "SELECT to_regproc('podium_wake_workers')") is None:
            connection.execute(_WAKE)


def _tables_exist(connection: Connection) -> bool:
    return _value(connection, "SELECT to_regclass('procrastinate_jobs')") is not None


def _value(connection: Connection, statement: LiteralString) -> Any:
    row = connection.execute(statement).fetchone()
    return next(iter(row.values())) if row else None


def insert(connection: Connection, arguments: Arguments, *, priority: int, at: datetime | None = None) -> None:
    """Insert a run; with `at` its timer, and with a `cron` the next timer of a schedule, of which there is one."""
    from procrastinate.jobs import Job as Row
    from procrastinate.manager import JobManager
    from procrastinate.sync_psycopg_connector import SyncPsycopgConnector

    schedule = None
    if "cron" in arguments:
        schedule = f"podium cron {arguments['thread_id']}"
        at = next_time(arguments["cron"], now(connection))
        connection.execute("DELETE FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo'", (schedule,))
    row = Row(
        queue=queue_of(arguments["graph"]),
        task_name=TIMER if at else RUN,
        lock=None if at else arguments["thread_id"],
        queueing_lock=schedule,
        scheduled_at=at,
        priority=priority,
        task_kwargs=cast(dict[str, Any], arguments),
    )
    JobManager(SyncPsycopgConnector()).defer_job(row, connection=connection)


def next_time(cron: str, now: datetime) -> datetime:
    """Return when a schedule is due next.

    Raises:
        ConfigurationError: It is not one.
    """
    from croniter import croniter

    try:
        due: datetime = croniter(cron, now).get_next(datetime)
    except ValueError as error:
        raise ConfigurationError(f"cron={cron!r} is not a schedule such as '0 8 * * 1-5': {error}") from error
    return due


def now(connection: Connection) -> datetime:
    """Return the database's time, by which jobs are due: clocks of other machines may be off."""
    time: datetime = _value(connection, "SELECT now()")
    return time.astimezone(UTC)


def query(connection: Connection, statement: LiteralString, **values: object) -> list[dict[str, Any]]:
    """Return the rows of a statement; none where the queue was never used."""
    return connection.execute(statement, values).fetchall() if _tables_exist(connection) else []


def list_jobs(connection: Connection, thread_id: str | None = None) -> list[QueuedRun]:
    """Return the job of each thread that says how it stands, the latest first."""
    return cast(list[QueuedRun], query(connection, _JOBS, thread=thread_id))


def queue_of(graph: str) -> str:
    """Return procrastinate's queue of a graph: a worker takes only runs of graphs that it has."""
    return f"podium.{graph}"


def channel_of(thread_id: str) -> str:
    """Return the channel on which a run's progress is notified."""
    return f"podium_{hashlib.sha256(thread_id.encode(errors='surrogatepass')).hexdigest()[:32]}"


def encode(value: object) -> str:
    """Write an input as text: messages and plain data, as checkpoints hold them."""
    kind, data = strict().dumps_typed(value)
    return f"{kind}:{base64.b64encode(data).decode()}"


def decode(text: str) -> object:
    """Read an input; constructs nothing but messages and plain types."""
    kind, _, data = text.partition(":")
    return strict().loads_typed((kind, base64.b64decode(data)))
