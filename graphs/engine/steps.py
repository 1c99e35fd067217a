"""The rules of a workflow, on plain data: what a step is, what it waits for and gets."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from operator import contains, eq, ne
from typing import Any, ClassVar, Literal

from langgraph.types import CachePolicy
from pydantic import BaseModel, ConfigDict, InstanceOf, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from agents.assignment import fill, placeholders
from agents.runtime import Retry
from agents.usage import Usage, no_usage
from graphs.engine.state import Problem

Plan = Sequence[Mapping[str, Any]]
"""Steps in their JSON form."""
OnFailure = Literal["skip", "stop", "continue"]
Join = Literal["all", "any"]
_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": eq,
    "not_equals": ne,
    "contains": contains,
    "not_contains": lambda text, part: part not in text,
}
CONDITIONS = tuple(_TESTS)
LAST_ROUND = "last_round"
SPECIAL = ("request", "item", LAST_ROUND)
"""Placeholders that are not a step: the user's request, the item of a `for_each` step, the last round of a loop."""
MAX_ITEMS, MAX_ROUNDS = 1000, 5

Until = Callable[[Any], bool | Awaitable[bool]] | Mapping[str, str]


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
    """Repetition of failed attempts; None: as the workflow says."""
    when: Mapping[str, str] | None = None
    """Run only if a dependency's result fits: `{"step": id, "equals": text}`, or `not_equals`, `contains`, …"""
    join: Join = "all"
    """`any`: start when one dependency has completed instead of all."""
    for_each: str | None = None
    """Id of a dependency whose result is a JSON list: the task runs once per `{item}` of it."""
    max_items: int = MAX_ITEMS
    """Items of that list; with more the step fails before any starts."""
    returns: type[BaseModel] | None = None
    """The form of the result: a chat model is asked for it, and the next steps get an object in their `data`."""
    until: Until | None = None
    """Repeat the step until its result fits: a function of the result (object, data or text), sync or async, or a test
    as in `when` without `step`. Each round is stored by itself, and the next one gets its result as `last_round`."""
    max_rounds: int = MAX_ROUNDS
    """Rounds before a step with `until` fails."""
    cache: InstanceOf[CachePolicy[Any]] | None = None
    """Reuse the result of an equal assignment, from the `cache` that the graph is compiled with."""

    def as_dict(self) -> dict[str, Any]:
        """Return the plain JSON form that states and plans use, without what only code can hold.

        That is `returns`, `cache`, and a function as `until`.
        """
        plain = {name: value for name, value in vars(self).items() if name not in ("returns", "cache")}
        return {
            **plain,
            "dependencies": list(self.dependencies),
            "retry": asdict(self.retry) if self.retry else None,
            "when": dict(self.when) if self.when else None,
            "until": dict(self.until) if isinstance(self.until, Mapping) else None,
        }


class StepRecord(TypedDict):
    """The record of a step, while and after it runs."""

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
    figures: dict[str, float]
    """The results of its calculations by name."""
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
    """Problems that the step adds to the run's `errors`."""


_as_step: TypeAdapter[Step] = TypeAdapter(Step)


def read_plan(items: Iterable[Step | Mapping[str, object]]) -> tuple[list[Step], list[str]]:
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


def find_cycle(steps: Sequence[Step]) -> list[str]:
    """Return the ids along a cycle, the first repeated at the end, each waiting for the next; empty if none."""
    known = {step.id for step in steps}
    needs = {step.id: [name for name in step.dependencies if name in known and name != step.id] for step in steps}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


_BLANK = dict.fromkeys(StepRecord.__annotations__)


def new_record(step: Step, status: str = "pending", **known: Any) -> StepRecord:
    """Return the record of a step that has not run."""
    named = {"id": step.id, "agent": step.agent, "task": step.task, "dependencies": list(step.dependencies)}
    counts = {"status": status, "figures": {}, "attempts": 0, "usage": no_usage(), "problems": []}
    return {**_BLANK, **named, **counts, **known}  # type: ignore[typeddict-item]


def may_start(step: Step, settled: Collection[str], missing: int, is_answered: bool) -> bool:
    """Tell whether a step has waited for enough of its dependencies.

    Args:
        step: The step.
        settled: Ids of steps that have ended.
        missing: How many of its dependencies have not ended.
        is_answered: Whether any of them has completed.
    """
    needed = {step.for_each, (step.when or {}).get("step")} - {None}
    return not missing or (step.join == "any" and is_answered and all(name in settled for name in needed))


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
    tested = settled.get(step.when["step"]) if step.when else None
    if step.when and not holds(step.when, (tested and tested["result"]) or ""):
        condition = next(f"{key} {step.when[key]!r}" for key in CONDITIONS if key in step.when)
        return f"its condition is not met: {step.when['step']!r} {condition}"
    return None


def _fate(record: StepRecord) -> str:
    fates = {"failed": "failed", "needs_input": "waits for an answer of the user"}
    return fates.get(record["status"], f"was {record['status']}")


def holds(tests: Mapping[str, str], result: str) -> bool:
    """Tell whether a result passes the tests of a `when` or `until`; case and surrounding space do not count."""
    text = result.strip().casefold()
    wanted = {test: str(tests[test]).strip().casefold() for test in _TESTS if test in tests}
    return all(_TESTS[test](text, value) for test, value in wanted.items())


def quoted(step: Step) -> list[str]:
    """Return the names that a step's task quotes."""
    return placeholders(step.task)


def fill_task(step: Step, context: Mapping[str, str], request: str) -> str:
    """Return a step's task with the request and its dependencies' results filled in."""
    return fill(step.task, {**context, "request": request})


def in_words(step: Step) -> str:
    """Return a step's task with the names of what it quotes in place of placeholders, for people."""
    return fill(step.task, {"request": "the request", **{name: name for name in step.dependencies}})
