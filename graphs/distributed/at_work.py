"""One run of the queue: it is begun or resumed from its checkpoints, and its progress is notified."""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.runtime import RunControl
from langgraph.types import Command

from agents.errors import ConfigurationError
from agents.runtime import masked, start_in_background
from graphs.distributed.jobs import NOTE, NOTIFY, QUEUE_JOB, Arguments, channel_of, decode
from graphs.engine import langgraph_internals as internals
from graphs.show import LiveState, news
from graphs.storage import Storage

_PAUSE = 0.2
"""Seconds between two notifications of a run's progress."""
_LONGEST_PAYLOAD = 7_900
"""Bytes of a notification; Postgres allows 7,999."""
_MODES = ["tasks", "custom", "values"]
_QUESTION_ID = re.compile("[0-9a-f]{32}")
_FAREWELL = 3.0
"""Seconds that a cancelled run has to end; a function that blocks cannot be ended."""

Query = Callable[..., Future[list[dict[str, Any]]]]
"""Starts a statement of `jobs` with its values on the queue's database."""


async def in_background(work: Callable[[], Coroutine[object, None, None]]) -> None:
    """Await work on the background loop; on cancellation it is cancelled there, and has a moment to end."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    async def whole() -> None:
        try:
            await work()
        finally:
            loop.call_soon_threadsafe(ended.set)

    try:
        await asyncio.wrap_future(start_in_background(whole).future)
    except asyncio.CancelledError:
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _FAREWELL)
        raise


class WaitsForAnswerError(Exception):
    """A new message for a thread that waits for an answer."""


async def do_run(
    graph: Any, job_id: int | None, arguments: Arguments, *, storage: Storage, control: RunControl, query: Query
) -> None:
    """Do a run, or the rest of it.

    Args:
        graph: The compiled graph.
        job_id: The run's job.
        arguments: The contents of the job.
        storage: The graph's checkpointer.
        control: Drains the run.
        query: Notes what the job answers, and notifies those who watch the run.

    Raises:
        WaitsForAnswerError: It is a new message, and the thread waits for an answer.
        ConfigurationError: The run to go on with does not exist, or an answer does not say which question it answers.
        GraphDrained: The control has asked the run to stop.
    """
    thread = arguments["thread_id"]
    config: RunnableConfig = {
        "configurable": {"thread_id": thread},
        "metadata": {"pattern": arguments["graph"], QUEUE_JOB: job_id},
    }
    async with storage.lock_thread(thread, "wait") as lock:
        config = lock.mark(config)
        last = await storage.aget_tuple(config)
        begun = last is not None and last.metadata.get(QUEUE_JOB) == job_id
        value = None if begun else _input(last, arguments, job_id, query)
        if value is None:
            if last is None:
                raise ConfigurationError(f"Run {thread!r} does not exist")
            # Not `next`, which is empty too where a step's writes are stored and the checkpoint after them is not.
            if not (await graph.aget_state(config)).tasks:
                return  # it has ended already; only that was not noted
        options = {"stream_mode": _MODES, "subgraphs": True, "control": control, "context": arguments["context"]}
        await _followed(graph.astream(value, config, **options), partial(query, NOTIFY, channel=channel_of(thread)))


async def _followed(events: AsyncIterator[Any], notify: Callable[..., object]) -> None:
    """Notify lines about a run, without keys and not too often; the run does not wait for them, or fail with them."""
    state, lines, sent = LiveState(time.time()), list[str](), 0.0
    async for event in events:
        if change := state.apply(event, time.time()):
            lines += [masked(f"[{time.time() - state.began:6.1f} s] {line}") for line in news(state, change)]
        if lines and time.monotonic() - sent > _PAUSE:
            _send(lines, notify)
            lines, sent = [], time.monotonic()
    _send(lines, notify)


def _send(lines: Sequence[str], notify: Callable[..., object]) -> None:
    payload: list[str] = []
    for line in lines:
        if len(json.dumps([*payload, line])) > _LONGEST_PAYLOAD:
            notify(payload=json.dumps(payload))
            payload = []
        payload.append(line)
    if payload:
        notify(payload=json.dumps(payload))


def _input(last: CheckpointTuple | None, arguments: Arguments, job_id: int | None, query: Query) -> object:
    """Return the input of a run whose job has written no checkpoint yet; None to go on."""
    asked = _questions(last)
    if "input" in arguments:
        if asked:
            raise WaitsForAnswerError("the thread waits for an answer")
        return decode(arguments["input"])
    if "resume" not in arguments:
        return None
    if (before := arguments.get("asked")) is None:
        query(NOTE, id=job_id, notes={"asked": asked}).result()
    else:  # an earlier worker may have answered, and died when the run asked something else
        asked = {key: digest for key, digest in asked.items() if before.get(key) == digest}
    answers = _answers(arguments["resume"], asked)
    return Command(resume=answers) if answers else None


def _questions(last: CheckpointTuple | None) -> dict[str, str]:
    """Return digests of a thread's open questions by their ids."""
    questions = internals.open_interrupts(last) if last else ()
    return {
        question.id: hashlib.sha256(json.dumps(question.value, sort_keys=True, default=str).encode()).hexdigest()
        for question in questions
    }


def _answers(resume: object, asked: Mapping[str, str]) -> Mapping[str, object]:
    if isinstance(resume, Mapping) and resume and all(map(_QUESTION_ID.fullmatch, resume)):
        return {key: answer for key, answer in resume.items() if key in asked}
    if len(asked) > 1:
        raise ConfigurationError(f"{len(asked)} questions are open; answer by id: {', '.join(asked)}")
    return dict.fromkeys(asked, resume)
