"""The live state of a run, for terminal and notebook: LangGraph's stream events -> `LiveState.apply` -> its tasks.

It works for every graph, also without steps, and for what goes on inside nested ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from langchain_core.messages import AIMessageChunk

from graphs.engine import EXECUTE, Step, StepRecord, is_record, langgraph_internals, new_record
from graphs.show.wording import WAITING, Record, outcome, update_of

MODES = ("tasks", "custom", "messages", "values")
"""Stream modes to be applied, with `subgraphs=True`."""

RunEvent = tuple[Sequence[str], str, Any]
"""Namespace, mode and chunk, as LangGraph streams them."""

_AGENT_LOOP = ("model", "tools")
"""Nodes of LangChain's agents, as are those of its middleware, which have a dot in their names."""
_WORTH_A_LINE = 0.05
"""Seconds; a node that took less is shown only if it has a result."""
_TAIL = 80
"""Characters of what an agent is writing that are kept."""
_DEEPEST = 4
"""Levels of indentation; deeper steps are shown at this level."""
_FEW = 3
"""Tasks at work that are named in a heading."""


@dataclass(frozen=True)
class LiveTask:
    """A node or step: waiting for its dependencies, at work, or ended."""

    name: str
    within: str = ""
    """The key of the task that it is inside of."""
    level: int = 0
    """Indentation: one more than the task around it, or than the deepest dependency of a step."""
    agent: str = ""
    status: str = "running"
    started: float | None = None
    """Seconds since the epoch, as `ended`; None while a step waits for its dependencies."""
    ended: float | None = None
    note: str = ""
    """Outcome of the task, or why it is tried again."""
    written: str = ""
    """The end of what its agent has streamed so far."""
    pieces: int = 0
    """Pieces of text its agent has streamed; about as many tokens."""
    failures: int = 0
    """Attempts that failed and were followed by another."""
    retry_at: float | None = None
    """When the next attempt begins, in seconds since the epoch."""
    record: StepRecord | None = None
    """Record of a step so far."""

    @property
    def tokens(self) -> int:
        """Tokens written, estimated while the agent is writing."""
        return (self.record["usage"]["output_tokens"] if self.record else 0) or self.pieces

    @property
    def is_worth_a_line(self) -> bool:
        """Whether to show it: a step, work that goes on, took a while or has a result."""
        took = (self.ended or 0.0) - (self.started or 0.0)
        return bool(self.record or self.ended is None or self.note or took >= _WORTH_A_LINE)


class Change(NamedTuple):
    """A task before and after an event; None before it began."""

    before: LiveTask | None
    after: LiveTask


class LiveState:
    """A run as far as it has come.

    Args:
        began: When it began, in seconds since the epoch.
        finished: Records of steps that an earlier process has finished, by id; these are not streamed again.
    """

    def __init__(self, began: float, finished: Mapping[str, StepRecord] | None = None) -> None:
        self.began = began
        self.tasks: dict[str, LiveTask] = {}
        """Tasks by LangGraph's id, in the order in which they began."""
        self.answer = ""
        """The answer as far as it was streamed."""
        self.values: dict[str, Any] = {}
        """The last state of the outermost graph, open questions included."""
        self._finished = dict(finished or {})
        self._steps: dict[tuple[str, str], str] = {}
        """Keys of the steps, by the key of the task around them and their name."""
        self._answer_id: str | None = None

    def apply(self, event: RunEvent, now: float) -> Change | None:
        """Take in one event, and return the task that it changed, if any."""
        namespace, mode, chunk = event
        if mode == "values" and not namespace and isinstance(chunk, Mapping):
            self._take_values(chunk)
        elif mode == "custom" and isinstance(chunk, Mapping) and {"event", "path", "step"} <= chunk.keys():
            return self._progress(namespace, chunk)
        elif mode == "messages" and isinstance(chunk[0], AIMessageChunk) and chunk[0].text:
            return self._words(*chunk)
        elif mode == "tasks":
            return self._end(chunk, now) if "result" in chunk else self._begin(namespace, chunk, now)
        return None

    def rows(self, most: int | None = None) -> list[LiveTask]:
        """Return the tasks worth a line, each followed by those inside it.

        Of more than `most`, those at work come first, then failed ones and those to come.
        """
        inside: dict[str, list[str]] = {}
        for key, task in self.tasks.items():
            inside.setdefault(task.within, []).append(key)

        def below(around: str) -> Iterator[LiveTask]:
            for key in inside.get(around, ()):
                if self.tasks[key].is_worth_a_line:
                    yield self.tasks[key]
                    yield from below(key)

        rows = list(below(""))
        order = {"running": 0, WAITING: 0, "failed": 1, "pending": 2}
        kept = sorted(range(len(rows)), key=lambda place: order.get(rows[place].status, 3))[:most]
        return [rows[place] for place in sorted(kept)]

    def path(self, task: LiveTask) -> str:
        """Return a task's name with those of the steps that it is inside of: `outer/inner`."""
        around = self._step_around(task)
        return f"{self.path(around)}/{task.name}" if around else task.name

    def doing(self) -> str:
        around = {task.within for task in self.tasks.values()}
        running = [task.name for key, task in self.tasks.items() if task.status == "running" and key not in around]
        return ", ".join(running[:_FEW]) + (f" and {len(running) - _FEW} more" if len(running) > _FEW else "")

    def records(self) -> dict[str, StepRecord]:
        return {task.name: task.record for task in self.tasks.values() if task.record and not self._step_around(task)}

    def _step_around(self, task: LiveTask) -> LiveTask | None:
        around = self.tasks.get(task.within)
        return self._step_around(around) if around and not around.record else around

    def _take_values(self, values: Record) -> None:
        self.values = {key: value for key, value in self.values.items() if key != "__interrupt__"} | {**values}
        for key, task in self.tasks.items() if "__interrupt__" in values else ():
            if task.status == "running":
                self.tasks[key] = replace(task, status=WAITING)

    def _begin(self, namespace: Sequence[str], task: Record, now: float) -> Change | None:
        key, name, within = task["id"], task["name"], self._innermost(namespace)
        level = self.tasks[within].level + 1 if within else 0
        step = _step_of(task["input"], name)
        if step is None:
            inside_agent = within and (name in _AGENT_LOOP or "." in name)
            skipped = name == EXECUTE or inside_agent
            return None if skipped else self._put(key, LiveTask(name, within, min(level, _DEEPEST), started=now))
        if key in self.tasks and self.tasks[key].status == "completed":
            return None  # a resumed run streams its finished steps as begun again
        before = [self._steps[within, other] for other in step.dependencies if (within, other) in self._steps]
        level = min(_DEEPEST, max([level, *(self.tasks[other].level + 1 for other in before)]))
        record = self._finished.get(step.id)
        self._steps[within, name] = key
        begun = LiveTask(name, within, level)
        return self._put(key, _recorded(begun, record if record and record["task"] == step.task else new_record(step)))

    def _end(self, task: Record, now: float) -> Change | None:
        update = update_of(task["result"])
        self._settle(update.get("steps"))
        before = self.tasks.get(task["id"])
        if before is None:
            return None
        if task["interrupts"]:
            return self._put(task["id"], replace(before, status=WAITING, note="asks a question"))
        if is_record(update):
            return self._put(task["id"], _recorded(before, cast(StepRecord, update)))
        status, note, agent = outcome(update)
        if task["error"]:
            status, note = "failed", str(task["error"])
        return self._put(task["id"], replace(before, status=status, note=note, ended=now, agent=agent))

    def _settle(self, records: Any) -> None:
        """Take the records of steps that an earlier process has finished, whose end is not streamed again."""
        for key, task in self.tasks.items() if isinstance(records, Mapping) else ():
            if task.record and task.status == "pending" and task.name in records:
                self.tasks[key] = _recorded(task, records[task.name])

    def _progress(self, namespace: Sequence[str], event: Record) -> Change | None:
        """Take in that a step has begun, or is tried again; its end comes with its whole record."""
        within = self._innermost(namespace)
        key = self._steps.get((within, event["step"]), within)  # else an item of the step around it
        task = self.tasks.get(key)
        if task is None or task.record is None or task.ended is not None:
            return None
        if event["event"] == "retry":
            again = {"retry_at": event["time"] + event["wait"], "note": event["error"], "written": ""}
            return self._put(key, replace(task, failures=event["attempt"], **again))
        if event["status"] != "running":
            return None
        started = task.started or event["time"]
        return self._put(key, _recorded(task, {**task.record, "status": "running", "started": started}))

    def _words(self, chunk: AIMessageChunk, metadata: Record) -> Change | None:
        owner = self._innermost(str(metadata.get(langgraph_internals.NAMESPACE, "")).split("|"))
        task = self.tasks.get(owner)
        if task is None or not (task.record or self._step_around(task)):
            # Another id: an attempt that starts over.
            self.answer = (self.answer if chunk.id == self._answer_id else "") + chunk.text
            self._answer_id = chunk.id
        if task is None:
            return None
        written = (task.written + chunk.text)[-_TAIL:]
        return self._put(owner, replace(task, written=written, pieces=task.pieces + 1))

    def _innermost(self, namespace: Sequence[str]) -> str:
        keys = (part.rpartition(":")[2] for part in reversed(namespace))
        return next((key for key in keys if key in self.tasks), "")

    def _put(self, key: str, task: LiveTask) -> Change:
        change = Change(self.tasks.get(key), task)
        self.tasks[key] = task
        return change


def _recorded(task: LiveTask, record: StepRecord) -> LiveTask:
    return replace(
        task,
        record=record,
        status=record["status"],
        agent=record["answered_by"] or record["agent"],
        started=record["started"],
        ended=record["ended"],
        note=record["error"] or record["result"] or "",
    )


def _step_of(task_input: Any, name: str) -> Step | None:
    """Return the step that a task was called with, if it is one: `((step, ...), {...})`."""
    while isinstance(task_input, tuple | list) and task_input:
        task_input = task_input[0]
    is_step = isinstance(task_input, Mapping) and task_input.get("id") == name and "dependencies" in task_input
    return Step(**task_input) if is_step else None
