"""The rules of a workflow, on plain data: what a step is, what is wrong with a plan, what a step waits for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from agents.assignment import fill, placeholders
from agents.runtime import Retry, Usage, no_usage
from graphs.engine.state import Problem

OnFailure = Literal["skip", "stop", "continue"]
Join = Literal["all", "any"]
CONDITIONS = ("equals", "not_equals", "contains", "not_contains")
SPECIAL = ("request", "item")
"""Placeholders that are no step: the user's request, and in a `for_each` step the item."""

_ID = re.compile(r"\w[\w.\-]*")
_MOST_FINDINGS = 20


@dataclass(frozen=True)
class Step:
    """One step of a workflow. Its task may quote `{request}` and the result of each dependency as `{step_id}`."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", revalidate_instances="always")

    id: str
    agent: str
    task: str
    dependencies: Sequence[str] = ()
    """Ids of the steps whose results this one needs."""
    fallback: str | None = None
    """Agent that gets the step when `agent` has failed for good."""
    timeout: float | None = None
    """Seconds for each attempt."""
    retry: Retry | None = None
    """How often and when a failed attempt is repeated; None: as the workflow says."""
    when: Mapping[str, str] | None = None
    """Run only if a dependency's result fits: `{"step": id, "equals": text}`, or `not_equals`, `contains`, …"""
    join: Join = "all"
    """`any`: start when one dependency has completed instead of all."""
    for_each: str | None = None
    """Id of a dependency whose result is a JSON list: the task runs once per `{item}` of it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the plain JSON form that states and plans use."""
        plain = {**asdict(self), "dependencies": list(self.dependencies)}
        return {**plain, "when": dict(self.when) if self.when else None}


class StepRecord(TypedDict):
    """What is known of a step while and after it runs."""

    id: str
    agent: str
    task: str
    dependencies: list[str]
    status: str
    """`pending`, `running`, `completed`, `failed`, `skipped`, or `needs_input`: a question to the user."""
    result: str | None
    """The answer's text."""
    message_id: str | None
    """The id of the chat message that holds the text, if one does."""
    data: Any
    """The answer's JSON, if it has any."""
    error: str | None
    """Why it failed or was skipped."""
    attempts: int
    """Calls of agents, the fallback's included."""
    answered_by: str | None
    """The agent that gave the result: `agent`, or the fallback."""
    started: float | None
    """Seconds since the epoch, when the first attempt began."""
    ended: float | None
    usage: Usage
    problems: list[Problem]
    """What the step adds to the run's `errors`."""


@dataclass(frozen=True)
class Flaws:
    """Collects what is wrong with a plan, one sentence each."""

    found: list[str] = field(default_factory=list)

    def add(self, wrong: bool, sentence: str) -> None:
        """Add a sentence if something is wrong."""
        if wrong:
            self.found.append(sentence)


_as_step: TypeAdapter[Step] = TypeAdapter(Step)


def read_plan(items: Iterable[Step | Mapping[str, Any]]) -> tuple[list[Step], list[str]]:
    """Read steps from Python or JSON; return those that could be read, and a sentence for each that could not."""
    steps: list[Step] = []
    flaws: list[str] = []
    if not isinstance(items, Iterable) or isinstance(items, str | Mapping):
        return [], [f"The steps must be a list, not {type(items).__name__}."]
    for number, item in enumerate(items, 1):
        try:
            steps.append(_as_step.validate_python(item))
        except ValidationError as error:
            fields = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            flaws.append(f"Step number {number} is not a step: {fields}")
    return steps, flaws


def findings(
    items: Iterable[Step | Mapping[str, Any]], agents: Collection[str], *, most: int | None = None
) -> list[str]:
    """Return what is wrong with some steps, each as a sentence that a person or a model can act on.

    The sentences never contradict each other: who does what they say gets, within a few rounds, to a sound plan.
    """
    if most is not None and isinstance(items, Sized) and len(items) > most:
        return [f"There are {len(items)} steps; use at most {most}."]
    steps, unreadable = read_plan(items)
    flaws = Flaws(unreadable)
    ids = Counter(step.id for step in steps)
    flaws.add(not steps and not unreadable, "There are no steps; write at least one.")
    for repeated in sorted(step_id for step_id, count in ids.items() if count > 1):
        flaws.add(True, f"Two steps are called {repeated!r}; give every step an id of its own.")
    order = Order(steps)
    for step in steps:
        _check_fields(step, agents, flaws)
        _check_dependencies(step, ids, flaws)
        _check_quotations(step, order, flaws)
    cycle = find_cycle(steps)
    flaws.add(
        bool(cycle),
        f"These steps wait for each other: {' -> '.join(cycle)}; remove one of the dependencies, and its quotation.",
    )
    if len(flaws.found) > _MOST_FINDINGS:
        more = len(flaws.found) - _MOST_FINDINGS
        return [*flaws.found[:_MOST_FINDINGS], f"And {more} more like these."]
    return flaws.found


class Order:
    """Which step waits for which, with the dependencies that findings ask for."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.needs: dict[str, set[str]] = {}
        for step in steps:
            self.needs.setdefault(step.id, set()).update(step.dependencies)

    def waits(self, step: str, other: str) -> bool:
        """Return whether a step is the other one, or waits for it."""
        seen, open_ = {step}, [step]
        while open_:
            for name in self.needs.get(open_.pop(), set()) - seen:
                seen.add(name)
                open_.append(name)
        return other in seen

    def add(self, step: str, other: str) -> bool:
        """Let a step wait for another one; return False where that would close a circle."""
        if self.waits(other, step):
            return False
        self.needs[step].add(other)
        return True


def _check_fields(step: Step, agents: Collection[str], flaws: Flaws) -> None:
    who = f"Step {step.id!r}"
    flaws.add(
        not _ID.fullmatch(step.id) or step.id in SPECIAL,
        f"{who} needs an id of letters, digits, '_', '-' and '.', other than 'request' and 'item'.",
    )
    for name in {step.agent, step.fallback} - {None}:
        flaws.add(name not in agents, f"{who} needs agent {name!r}; known: {', '.join(sorted(agents))}.")
    flaws.add(not step.task.strip(), f"{who} has an empty task; say what is to be done.")
    flaws.add(
        step.timeout is not None and step.timeout <= 0, f"{who} has a timeout of {step.timeout} s; use more than 0."
    )


def _check_dependencies(step: Step, known: Collection[str], flaws: Flaws) -> None:
    who = f"Step {step.id!r}"
    for name in step.dependencies:
        flaws.add(name == step.id, f"{who} depends on itself; remove that dependency.")
        flaws.add(name not in known, f"{who} depends on {name!r}, which is not a step.")
    if step.for_each is not None:
        flaws.add(
            step.for_each not in step.dependencies, f"{who} runs for each of {step.for_each!r}: not a dependency."
        )
    if step.when is not None:
        tests = [key for key in step.when if key in CONDITIONS]
        flaws.add(
            len(tests) != 1 or set(step.when) != {"step", *tests} or step.when["step"] not in step.dependencies,
            f"{who} has the condition {dict(step.when)}; it needs 'step' (a dependency)"
            f" and one of {', '.join(CONDITIONS)}.",
        )


def _check_quotations(step: Step, order: Order, flaws: Flaws) -> None:
    for name in dict.fromkeys(placeholders(step.task)):
        quotes = f"Step {step.id!r} quotes {{{name}}}"
        if name == step.id:
            flaws.add(True, f"{quotes}, its own result; take the quotation out.")
        elif name in (*step.dependencies, "request") or (name == "item" and step.for_each):
            continue
        elif name not in order.needs:
            sentence = f"{quotes}, which is neither 'request' nor a dependency; for plain braces write {{{{{name}}}}}."
            flaws.add(not name[0].isdigit(), sentence)
        elif order.add(step.id, name):
            flaws.add(True, f"{quotes} but does not depend on it; add {name!r} to its dependencies.")
        else:
            flaws.add(True, f"{quotes}, which waits for {step.id!r} itself; take the quotation out.")


def _sorter(steps: Sequence[Step]) -> TopologicalSorter[str]:
    known = {step.id for step in steps}
    return TopologicalSorter({step.id: [d for d in step.dependencies if d in known and d != step.id] for step in steps})


def find_cycle(steps: Sequence[Step]) -> list[str]:
    """Return the ids along a cycle, the first repeated at the end, each waiting for the next; empty if none."""
    try:
        _sorter(steps).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Return the steps so that each comes after its dependencies, ties by id: an order that never varies."""
    sorter = _sorter(steps)
    sorter.prepare()
    named = {step.id: step for step in steps}
    ordered: list[Step] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += [named[step_id] for step_id in ready]
        sorter.done(*ready)
    return ordered


def new_record(step: Step, status: str = "pending", **known: Any) -> StepRecord:
    """Return the record of a step that has not run."""
    blank: StepRecord = {
        "id": step.id,
        "agent": step.agent,
        "task": step.task,
        "dependencies": list(step.dependencies),
        "status": status,
        "result": None,
        "message_id": None,
        "data": None,
        "error": None,
        "attempts": 0,
        "answered_by": None,
        "started": None,
        "ended": None,
        "usage": no_usage(),
        "problems": [],
    }
    return {**blank, **known}  # type: ignore[typeddict-item]


def may_start(step: Step, settled: Mapping[str, StepRecord]) -> bool:
    """Tell whether a step has waited for enough of its dependencies."""
    needed = list(step.dependencies)
    if step.join == "any" and any(record["status"] == "completed" for record in settled.values()):
        needed = [name for name in needed if name in (step.for_each, (step.when or {}).get("step"))]
    return all(name in settled for name in needed)


def reason_to_skip(step: Step, settled: Mapping[str, StepRecord], on_failure: OnFailure) -> str | None:
    """Return why a step that may start shall not, in one sentence; None if it shall."""
    missing = [record for record in settled.values() if record["status"] != "completed"]
    enough = len(missing) < len(settled) if step.join == "any" else not missing
    if (
        settled
        and not enough
        and not (on_failure == "continue" and any(record["status"] == "failed" for record in missing))
    ):
        return "it needs " + ", ".join(f"{record['id']!r}, which {_fate(record)}" for record in missing)
    if step.when and not holds(step.when, settled):
        condition = next(f"{key} {step.when[key]!r}" for key in CONDITIONS if key in step.when)
        return f"its condition is not met: {step.when['step']!r} {condition}"
    return None


def _fate(record: StepRecord) -> str:
    fates = {"failed": "failed", "needs_input": "waits for an answer of the user"}
    return fates.get(record["status"], f"was {record['status']}")


def holds(when: Mapping[str, str], settled: Mapping[str, StepRecord]) -> bool:
    """Tell whether a condition on a result is met; texts are compared without case and surrounding space."""
    record = settled.get(when["step"])
    text = (record["result"] if record and record["result"] is not None else "").strip().casefold()
    for test, wanted in when.items():
        value = str(wanted).strip().casefold()
        if (test == "equals" and text != value) or (test == "not_equals" and text == value):
            return False
        if (test == "contains" and value not in text) or (test == "not_contains" and value in text):
            return False
    return True


def context_of(step: Step, settled: Mapping[str, StepRecord]) -> dict[str, str]:
    """Return by id what a step is told of its dependencies: their results, or that they have none."""
    return {name: _result(settled[name]) if name in settled else "(no result yet)" for name in step.dependencies}


def data_of(step: Step, settled: Mapping[str, StepRecord]) -> dict[str, Any]:
    """Return by id the JSON data of those dependencies whose results have any."""
    return {
        name: settled[name]["data"]
        for name in step.dependencies
        if name in settled and settled[name]["data"] is not None
    }


def _result(record: StepRecord) -> str:
    return record["result"] or f"(no result: {record['error']})"


def quoted(step: Step) -> list[str]:
    """Return the names that a step's task quotes."""
    return placeholders(step.task)


def fill_task(step: Step, context: Mapping[str, str], request: str) -> str:
    """Return a step's task with the request and its dependencies' results filled in."""
    return fill(step.task, {**context, "request": request})


def in_words(step: Step) -> str:
    """Return a step's task with the names of what it quotes in place of placeholders, for people."""
    return fill(step.task, {"request": "the request", **{name: name for name in step.dependencies}})


def critical_path(records: Mapping[str, StepRecord]) -> list[str]:
    """Return the ids of the steps that determined when the run ended, first to last."""
    ran = {record["id"]: record["ended"] for record in records.values() if record["ended"] is not None}
    path: list[str] = []
    latest = max(ran, key=lambda step_id: ran[step_id], default=None)
    while latest is not None:
        path.append(latest)
        before = [name for name in records[latest]["dependencies"] if name in ran]
        latest = max(before, key=lambda step_id: ran[step_id], default=None)
    return path[::-1]
