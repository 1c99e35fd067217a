"""The rules of a pattern for its graph: how a run begins and ends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from agents.assignment import Assignment, History
from agents.runtime import Retry
from graphs.engine.state import RUNNING, Conclusion, PatternState, assignment_of, closing

StateT = TypeVar("StateT", bound=PatternState)


class RunRules(Generic[StateT]):
    """Attributes of a pattern, and how its runs begin and end."""

    name = "pattern"
    state_schema: type[Any] = PatternState
    """The TypedDict of the graph's state; a subclass may extend it by keys of its own, which are inputs too."""
    record_schema: type[Any] = PatternState
    """The part of the state that a run fills itself."""
    synthesizes = False
    """Whether it writes an answer from results; a share of a run's budget is then kept for that."""
    request_optional = False
    """Whether an empty request is allowed, because the steps are known in advance."""
    retry: Retry | None = None
    """For every call; None for three attempts."""
    history: History = "full"
    """Part of the conversation before the request that agents see."""

    def opening(self) -> Mapping[str, object]:
        """Return what the state begins with where that is not empty."""
        return {}

    def assignment(self, state: StateT) -> Assignment:
        return assignment_of(state, self.history)

    def conclude(self, state: StateT) -> Conclusion:
        """Return what the run ends with, unless a node has set a status."""
        reason = "The graph ended without a status: set one in its last node, or define conclude()"
        return {"text": reason, "status": "failed", "stop_reason": reason}

    def ending(self, state: StateT) -> Conclusion:
        """Return how the run is about to end; a guard before `answer` judges this.

        To end the run otherwise, a guard returns `status`, `stop_reason` and an `AIMessage` with the id `message_id`,
        which replaces the message that shows the text, if there is one.
        """
        if state["status"] != RUNNING:
            last = state["messages"][-1]
            reason = state["stop_reason"]
            return {"text": str(last.text), "message_id": last.id, "status": state["status"], "stop_reason": reason}
        end = self.conclude(state)
        if end["status"] == RUNNING:
            reason = "LangGraph's recursion_limit was reached"
            end = {**end, "status": "partial" if end["text"] else "failed", "stop_reason": reason}
        return {**end, "text": end["text"] or end["stop_reason"] or ""}

    def answer(self, state: StateT) -> dict[str, Any]:
        """End the run: every way to END leads through this node, so that a node before it guards every answer."""
        if state["status"] != RUNNING:
            return {}
        end = self.ending(state)
        update = {"status": end["status"], "stop_reason": end["stop_reason"]}
        shown = end.get("message_id")
        if shown and any(message.id == shown for message in state["messages"]):
            return update
        return {**update, "messages": [closing(state["messages"], end["text"], shown, end.get("by"))]}

    def known_tasks(self, value: object) -> Iterable[str]:
        """Return the tasks that no model wrote: tools may open the addresses that they name."""
        return ()

    def lacking(self, state: Mapping[str, object], pending: Sequence[str]) -> list[str]:
        """Return what a stored run needs that this code does not have, beside nodes; see `changed_code`.

        Args:
            state: As it was stored, with the records of finished steps.
            pending: The nodes that come next.
        """
        return []
