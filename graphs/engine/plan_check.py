"""Flaws of a plan: sentences that a person or a model can act on, and that never contradict each other."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sized

from graphs.engine.steps import CONDITIONS, LAST_ROUND, SPECIAL, Step, find_cycle, quoted, read_plan

_ID = re.compile(r"\w[\w.\-]*")
_MOST_FINDINGS = 20


class Flaws(list[str]):
    """The flaws of a plan, one sentence each."""

    def add(self, wrong: bool, sentence: str) -> None:
        if wrong:
            self.append(sentence)


def findings(
    items: Iterable[Step | Mapping[str, object]], agents: Collection[str], *, most: int | None = None
) -> list[str]:
    """Return what is wrong with some steps, each as a sentence that a person or a model can act on.

    The sentences never contradict each other: who does what they say gets, within a few rounds, to a sound plan.
    """
    if most is not None and isinstance(items, Sized) and len(items) > most:
        return [f"There are {len(items)} steps; use at most {most}."]
    steps, unreadable = read_plan(items)
    flaws = Flaws(unreadable)
    ids = Counter(step.id for step in steps)
    flaws.add(not steps and not unreadable, "The plan has no steps; write at least one.")
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
    if len(flaws) > _MOST_FINDINGS:
        more = len(flaws) - _MOST_FINDINGS
        return [*flaws[:_MOST_FINDINGS], f"And {more} more like these."]
    return flaws


class Order:
    """Order of steps: which waits for which, with the dependencies that findings ask for."""

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
        f"{who} needs an id of letters, digits, '_', '-' and '.', other than {', '.join(map(repr, SPECIAL))}.",
    )
    for name in {step.agent, step.fallback} - {None}:
        flaws.add(name not in agents, f"{who} needs agent {name!r}; known: {', '.join(sorted(agents))}.")
    flaws.add(not step.task.strip(), f"{who} has an empty task; say what is to be done.")
    flaws.add(
        step.timeout is not None and step.timeout <= 0, f"{who} has a timeout of {step.timeout} s; use more than 0."
    )
    for name in ("max_items", "max_rounds"):
        flaws.add(getattr(step, name) < 1, f"{who} has {name} of {getattr(step, name)}; use 1 or more.")
    if isinstance(step.until, Mapping):
        tests = ", ".join(CONDITIONS)
        flaws.add(len(step.until) != 1 or not step.until.keys() <= {*CONDITIONS}, f"{who}: until needs one of {tests}.")


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
    own = [label for label, is_set in (("item", step.for_each), (LAST_ROUND, step.until)) if is_set]
    for name in dict.fromkeys(quoted(step)):
        quotes = f"Step {step.id!r} quotes {{{name}}}"
        if name == step.id:
            flaws.add(True, f"{quotes}, its own result; take the quotation out.")
        elif name in (*step.dependencies, "request", *own):
            continue
        elif name not in order.needs:
            sentence = f"{quotes}, which is neither 'request' nor a dependency; for plain braces write {{{{{name}}}}}."
            flaws.add(not name[0].isdigit(), sentence)
        elif order.add(step.id, name):
            flaws.add(True, f"{quotes} but does not depend on it; add {name!r} to its dependencies.")
        else:
            flaws.add(True, f"{quotes}, which waits for {step.id!r} itself; take the quotation out.")
