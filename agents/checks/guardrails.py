"""Checks: functions that judge without a model what an agent is asked, or what it answers."""

import inspect
from collections.abc import Callable, Sequence

from langgraph.errors import GraphBubbleUp

from agents.assignment import Assignment
from agents.errors import ConfigurationError, PodiumError
from agents.runtime import Effects, call, explain

Check = Callable[..., object]
"""Returns None or True if it passes, else False or what is wrong; may be async.

A check of an agent whose only parameter is `assignment` guards the input; any other guards the answer. That one gets
the answer's text and, where it has parameters of these names, its `data` and the `assignment`.
"""

INSTEAD = "It fits without what the task does not ask for:"
"""Prefix of a better version that a check returns; a small model that sees its own version repeats that."""

_EXTRAS = ("data", "assignment")


class Guardrails:
    """The checks of an agent: those of the input and those of the answer, each in their order."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.of_input: list[Check] = []
        self.of_answer: list[tuple[Check, list[str]]] = []
        if isinstance(checks, str) or not isinstance(checks, Sequence) or not all(map(callable, checks)):
            raise ConfigurationError(f"checks must be a list of functions, not {checks!r:.80}")
        for check in checks:
            names = _parameters(check)
            if names == ["assignment"]:
                self.of_input.append(check)
            else:
                self.of_answer.append((check, [name for name in _EXTRAS if name in names]))

    async def wrong_in_input(self, effects: Effects, assignment: Assignment) -> list[str]:
        return [wrong for check in self.of_input if (wrong := await finding(effects, check, assignment))]

    async def wrong_in_answer(self, effects: Effects, text: str, data: object, assignment: Assignment) -> list[str]:
        known = {"data": data, "assignment": assignment}
        checks = [(check, {name: known[name] for name in extras}) for check, extras in self.of_answer]
        return [wrong for check, more in checks if (wrong := await finding(effects, check, text, **more))]


async def finding(effects: Effects, check: Check, *arguments: object, **more: object) -> str | None:
    """Return what a check finds wrong, None if it passes.

    Raises:
        PodiumError: It raised an exception, or returned something else than None, a bool or a text.
    """
    name = getattr(check, "__name__", "check")
    try:
        verdict = await call(effects, check, *arguments, **more)
    except (GraphBubbleUp, PodiumError):
        raise
    except Exception as error:
        raise PodiumError(f"The check {name!r} failed: {explain(error)}") from error
    if verdict is None or verdict is True:
        return None
    if verdict is False or verdict == "":
        return f"The check {name!r} did not pass."
    if not isinstance(verdict, str):
        raise PodiumError(f"The check {name!r} must return None, True, False or what to change, not {verdict!r:.100}")
    return verdict


def sent_back(assignment: Assignment, answer: str, wrong: Sequence[str]) -> Assignment:
    """Return an assignment for another try, with the answer that did not pass and why."""
    feedback = "\n".join(wrong)
    last = {"last_version": answer} if answer and INSTEAD not in feedback else {}
    return {**assignment, "context": {**assignment.get("context", {}), **last, "feedback": feedback}}


def _parameters(check: Check) -> list[str]:
    try:
        return list(inspect.signature(check).parameters)
    except ValueError:  # a builtin without a signature
        return []
