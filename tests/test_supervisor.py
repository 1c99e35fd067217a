"""Work is reviewed, sent back, accepted or escalated; no fault of anybody makes it accepted or lost."""

from itertools import count
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from agents import Agent, as_requested
from agents.testing import Reply, ScriptedModel
from graphs import ConfigurationError, Router, Step, Supervisor, Workflow
from tests.supervised import ASK, GOOD, bad, critic, ended, endless, part, supervised, worker

# Review, revise, accept


def test_accepted_work_is_the_answer(call: Any) -> None:
    state = call(supervised(worker("one"), critic(GOOD)), ASK)
    assert ended(state) == ("completed", "one")
    assert (state["stop_reason"], state["errors"], state["revisions"]) == (None, [], 0)


def test_rejected_work_is_done_again_until_it_is_accepted(call: Any) -> None:
    state = call(supervised(worker("one", "two", "three"), critic(bad("a"), bad("b"), GOOD)), ASK)
    assert ended(state) == ("completed", "three")
    assert [(review["revision"], review["acceptable"], review["feedback"]) for review in state["reviews"]] == [
        (0, False, "a"),
        (1, False, "b"),
        (2, True, ""),
    ]


def test_the_worker_gets_its_last_version_and_the_feedback(call: Any) -> None:
    model = ScriptedModel(["one", "two"])
    call(supervised(Agent("writer", instructions="Write.", model=model), critic(bad("More frogs."), GOOD)), ASK)
    first, second = (asked.messages[-1].text for asked in model.calls)
    assert first == "Write a haiku."
    assert "Feedback:\n```\nMore frogs.\n```" in second
    assert "change what the feedback says:\n```\none\n```" in second
    assert second.endswith("Your task: Write a haiku.")


def test_a_function_gets_them_as_context(call: Any) -> None:
    seen: list[Any] = []
    work = Agent("writer", function=lambda task, context: seen.append(context) or f"draft {len(seen)}")
    call(supervised(work, critic(bad("More frogs."), GOOD)), ASK)
    assert seen == [{}, {"feedback": "More frogs.", "last_version": "draft 1"}]


def test_a_version_that_a_check_proposes_replaces_the_last_one(call: Any) -> None:
    seen: list[Any] = []
    work = Agent(
        "writer", function=lambda task, context: seen.append(context) or "Here it is. Frogs."[12 * (len(seen) - 1) :]
    )
    state = call(
        supervised(work, critic(GOOD), checks=[as_requested]), {"messages": "Write at most 3 words about frogs."}
    )
    assert (list(seen[1]), seen[1]["feedback"].splitlines()[-1]) == (["feedback"], "Frogs.")
    assert state["status"] == "completed"


def test_each_review_sees_the_task_and_the_present_work_only(call: Any) -> None:
    unmet = {"criteria": {"criterion_1": {"evidence": "e", "met": False}}}
    model = ScriptedModel([{**unmet, "feedback": "FEEDBACK A"}, {**unmet, "feedback": "FEEDBACK B"}])
    call(supervised(endless(), criteria=["It rhymes."], model=model, max_revisions=1), ASK)
    first, second = (asked.prompt for asked in model.calls)
    assert ("draft 1" in first, "draft 2" in second) == (True, True)
    assert ("draft 1" in second, "FEEDBACK" in second) == (False, False)


def test_a_review_of_ones_own_takes_task_work_and_context(call: Any) -> None:
    seen: list[Any] = []

    async def review(task: str, work: str, context: dict[str, str]) -> dict[str, Any]:
        seen.append((task, work, context))
        return GOOD if work == "two" else bad()

    state = call(supervised(worker("one", "two"), review=review), ASK)
    assert (ended(state), state["reviews"][0]["by"]) == (("completed", "two"), "reviewer")
    assert seen == [("Write a haiku.", "one", {}), ("Write a haiku.", "two", {})]


# What ends the loop


@pytest.mark.parametrize("most", [0, 2])
def test_work_is_sent_back_so_many_times(call: Any, most: int) -> None:
    feedback = (bad(f"feedback {number}") for number in count())
    state = call(supervised(endless(), critic(*(next(feedback) for _ in range(most + 1))), max_revisions=most), ASK)
    assert ended(state) == ("escalated", f"draft {most + 1}")
    assert state["stop_reason"] == f"Not accepted after {most} revisions: feedback {most}"
    assert (state["revisions"], len(state["reviews"])) == (most, most + 1)


def test_unchanged_work_ends_the_loop_without_another_review(call: Any) -> None:
    state = call(supervised(worker("a  poem", "a poem\n"), critic(bad())), ASK)
    assert ended(state) == ("escalated", "a  poem")
    assert (state["stop_reason"], len(state["reviews"])) == ("The work did not change after feedback", 1)


def test_work_that_no_budget_was_left_to_change_ends_with_that_reason(call: Any) -> None:
    think = Agent("think", instructions="Think.", model=ScriptedModel("Hm."))
    steps = [Step("think", "think", "Think"), Step("text", "writer", "Write", ["think"])]
    work = Workflow(steps, agents=[think, worker("a poem", "a poem")], on_failure="continue")
    state = call(supervised(work, critic(bad())), ASK, context={"max_calls": 1})
    assert (state["status"], "The budget of 1 model calls" in state["stop_reason"]) == ("partial", True)


def test_repeated_feedback_of_a_reviewer_ends_the_loop(call: Any) -> None:
    state = call(supervised(endless(), critic(bad("Too  long."), bad("Too long. "))), ASK)
    assert ended(state) == ("escalated", "draft 2")
    assert state["stop_reason"] == "The same feedback came twice: Too long. "


def test_a_check_may_say_the_same_sentence_at_every_draft(call: Any) -> None:
    check = [lambda text: None if text.endswith("€") else "Name the price."]
    state = call(supervised(worker("one", "two", "for 5 €"), critic(GOOD), checks=check), ASK)
    assert (ended(state), state["revisions"]) == (("completed", "for 5 €"), 2)


@pytest.mark.parametrize(
    ("verdicts", "best"),
    [((part(1, "a"), part(3, "b"), part(2, "c")), "draft 2"), ((part(1, "a"), part(2, "b"), part(2, "c")), "draft 3")],
)
def test_the_best_work_is_kept_when_later_work_is_worse(call: Any, verdicts: Any, best: str) -> None:
    state = call(supervised(endless(), critic(*verdicts), max_revisions=2), ASK)
    assert ended(state) == ("escalated", best)
    assert state["best"]["score"] == max(review["score"] for review in state["reviews"])


def test_work_that_fails_the_checks_is_worse_than_any_that_passes_them(call: Any) -> None:
    state = call(supervised(worker("one", "TWO"), critic(bad()), checks=[str.islower], max_revisions=1), ASK)
    assert ended(state) == ("escalated", "one")


# One graph, many runs


# A reviewer that fails neither accepts nor rejects

FAULTS = [Reply(error=ValueError("boom")), Reply(refusal="I cannot help."), Reply("I accept it.")]


@pytest.mark.parametrize("fault", FAULTS, ids=["exception", "refusal", "free text"])
def test_a_failing_reviewer_is_neither_acceptance_nor_rejection(call: Any, fault: Reply) -> None:
    reviewer = Agent("critic", instructions="Judge.", model=ScriptedModel([fault], repeat=True))
    state = call(supervised(worker("one"), reviewer), ASK)
    assert ended(state) == ("escalated", "one")
    assert (state["reviews"], state["revisions"]) == ([], 0)
    assert state["stop_reason"].startswith("The work was not reviewed: ")
    assert [error["where"] for error in state["errors"]] == ["review"]


def test_a_reviewer_that_fails_later_leaves_the_best_that_was_reviewed(call: Any) -> None:
    state = call(supervised(endless(), critic(part(1, "a"), "fine by me")), ASK)
    assert ended(state) == ("escalated", "draft 1")
    assert (state["revisions"], len(state["reviews"])) == (1, 1)


def test_a_fault_of_the_reviewer_that_may_pass_is_tried_again(call: Any) -> None:
    state = call(supervised(worker("one"), critic(TimeoutError("slow"), GOOD)), ASK)
    assert ended(state) == ("completed", "one")
    assert [(fault["where"], fault["recovered"]) for fault in state["errors"]] == [("review", True)]


# A worker that fails


def test_a_worker_that_fails_at_first_leaves_nothing(call: Any) -> None:
    state = call(supervised(worker(ValueError("boom")), critic()), ASK)
    assert ended(state) == ("failed", "'writer' failed: ValueError: boom")
    assert state["errors"] == [{"where": "work", "kind": "ValueError", "message": "ValueError: boom"}]


def test_a_worker_that_fails_later_leaves_the_best_so_far(call: Any) -> None:
    state = call(supervised(worker("one", ValueError("boom")), critic(bad())), ASK)
    assert ended(state) == ("escalated", "one")
    assert state["stop_reason"] == "'writer' failed: ValueError: boom"


def partial(text: str) -> Agent:
    state = {"messages": [AIMessage(text)], "status": "partial", "errors": [], "stop_reason": "half is missing"}
    usage: Any = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "agents": {}}
    return Agent("writer", runnable=RunnableLambda(lambda asked: {**state, "usage": usage}))


def test_accepted_work_stays_partial_where_the_worker_could_not_do_all(call: Any) -> None:
    state = call(supervised(partial("half"), critic(GOOD)), ASK)
    assert (ended(state), state["stop_reason"]) == (("partial", "half"), "half is missing")
    assert state["errors"] == [{"where": "work/writer", "kind": "partial", "message": "half is missing"}]


def test_a_question_of_the_worker_to_the_user_is_not_reviewed(call: Any) -> None:
    asking = Router([worker()], classifier=lambda text: [], model=False).as_agent("desk")
    state = call(supervised(asking, critic()), ASK)
    assert state["status"] == "needs_input"
    assert state["messages"][-1].text.startswith("I am not sure who can help")
    assert "confidence" in state["stop_reason"]


# Built wrongly


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_revisions": -1}, "max_revisions must be a whole number"),
        ({"criteria": []}, "criteria must be a list"),
        ({"criteria": "It rhymes."}, "criteria must be a list"),
        ({"escalate": "somebody"}, "must be 'best', 'human' or an agent, not 'somebody'"),
        ({"reviewer": critic(), "review": lambda task, work, context: GOOD}, "excludes reviewer="),
        ({"review": critic()}, "review= takes a function"),
    ],
)
def test_a_supervisor_put_together_wrongly_is_refused(options: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Supervisor(worker(), **options)
