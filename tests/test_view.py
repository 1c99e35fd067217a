"""The view follows every pattern, nested ones too, and runs that are resumed."""

from typing import Any

import pytest

from graphs.engine import new_record
from graphs.show.live import news
from graphs.show.view import View
from tests.test_live import ZERO, A, B, approved, event, seen, shown, statuses, update


def verdict(acceptable: bool, feedback: str = "") -> dict[str, Any]:
    return {"acceptable": acceptable, "feedback": feedback}


def test_an_orchestrator_goes_from_sorting_to_reviewing() -> None:
    sorted_out = update("triage", triage={"small": False, "agent": "writer", "reason": "several parts"})
    view = View.begin("sorting", ZERO).apply(sorted_out, ZERO + 1)
    assert (view.phase, view.note) == ("planning", "a plan: several parts")
    view = view.apply((("plan:1f",), "updates", {"approve": {"approved": [A.as_dict()]}}), ZERO + 2)
    assert (statuses(view), view.phase) == ({"plan/execute/a": "pending"}, "working")
    view = view.apply(update("plan", work="The answer"), ZERO + 3)
    assert view.phase == "reviewing"
    view = view.apply(update("review", reviews=[verdict(False, "Too short")]), ZERO + 4)
    assert (view.phase, view.note) == ("revising", "sent back: Too short")
    assert "Too short" in shown(view)


def test_a_supervised_step_that_is_sent_back_says_why() -> None:
    before = seen(approved(A), event("a", "running"))
    inside = ("execute:1f", "a:2e")
    after = before.apply((inside, "updates", {"review": {"reviews": [verdict(False, "Too short")]}}), ZERO)
    assert list(news(before, after)) == ["a: sent back: Too short"]
    assert "sent back: Too short" in shown(after)
    mended = after.apply((inside, "updates", {"review": {"reviews": [verdict(True)]}}), ZERO)
    assert "sent back" not in shown(mended)


@pytest.mark.parametrize("key", ["triage", "route", "reviews", "handoffs", "work", "approved"])
@pytest.mark.parametrize("value", ["text", 5, [], ["text"], {}, {"a": 1}, None])
def test_graphs_of_others_may_use_the_same_keys(key: str, value: Any) -> None:
    assert shown(seen(update("node", **{key: value}), ((), "values", {key: value, "status": "running"})))


def test_a_resumed_run_shows_what_was_finished_before() -> None:
    done = new_record(A, "completed", result="Done", started=ZERO, ended=ZERO + 1)
    view = View.begin("going on", ZERO, {"a": done})
    view = view.apply(((), "values", {"status": "running", "approved": [A.as_dict(), B.as_dict()]}), ZERO)
    assert statuses(view) == {"execute/a": "completed", "execute/b": "pending"}
    assert view.finished() == {"a": "Done"}
