"""The texts of a planner, and its rules on plain data: the form of a plan, corrections, figures, the answer."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NotRequired

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel
from typing_extensions import TypedDict

from agents import Agent, Answer, Assignment, EmptyReplyError, quote
from agents.checks import as_requested, figures_in, sent_back, unknown_figures
from agents.decisions import OneOf, Paragraph, Short
from agents.runtime import Effects, SyncAsyncRunnable
from graphs.decisions import prompts
from graphs.engine import RESERVED, Plan, Problem, StepRecord, problems_inside


def plan_form(names: Sequence[str]) -> type[BaseModel]:
    """Return the form of a plan. The model sees the team's names as the only choice; `findings` explains others."""

    class PlannedStep(BaseModel):
        id: Short
        task: Paragraph
        # After the task: a model writes in this order, and chooses better once the task is written.
        agent: Annotated[str, OneOf(names, others=True)]
        dependencies: list[Short] = []

    class Plan(BaseModel):
        steps: list[PlannedStep]

    return Plan


_CHECKS = re.compile(
    r"((have|get|let)\b.{1,40}\b)?(check|review|proofread|verif|critici[sz]|judge)(ed|ied|d|e|y)?\b"
    r"|(list|find)\b.*\b(fault|mistake|error)s\b",
    re.IGNORECASE,
)

UNKNOWN_FIGURES = "UnknownFigures"
"""The kind of problem that figures without a source are."""
_BOTH = re.compile(r"\b(?:both|beide[nmrs]?|les deux|ambos|ambas)\b", re.IGNORECASE)
_RESULTS = re.compile(r"\b(?:results?|all of (?:it|them|this)|ergebnisse?n?|résultats?|resultados?)\b", re.IGNORECASE)


def final_step(plan: Plan) -> Mapping[str, Any] | None:
    """Return the step that all others lead to, whose result answers the request; None without such a step.

    A last step that only checks is not an answer: its result is a list of faults.
    """
    last = _last_step(plan)
    return last if last and not _CHECKS.match(last["task"]) else None


def _last_step(plan: Plan) -> Mapping[str, Any] | None:
    used = {name for step in plan for name in step["dependencies"]}
    last = [step for step in plan if step["id"] not in used]
    return last[0] if len(last) == 1 else None


def with_named_results(plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a plan whose last step depends on each result that its task speaks of: by the step's id, or as `both`.

    Small models leave such dependencies out. Only results that no other step needs are added, and the first of two
    steps whose results `both` are wanted.
    """
    used = {name for step in plan for name in step["dependencies"]}
    if not plan or plan[-1]["id"] in used:
        return plan
    last, task = plan[-1], plan[-1]["task"]
    others, needed = [step["id"] for step in plan[:-1]], last["dependencies"]
    ends = [name for name in others if name not in used]
    two = next((names for names in ([*needed, *ends], others) if len({*names}) == 2), []) if _BOTH.search(task) else []
    is_all = _RESULTS.search(task) or two
    named = [name for name in ends if is_all or re.search(rf"\b{re.escape(name)}", task, re.IGNORECASE)]
    return [*plan[:-1], {**last, "dependencies": [*dict.fromkeys((*needed, *two, *named))]}]


def has_answer(plan: Plan, steps: Mapping[str, StepRecord], assignment: Assignment) -> bool:
    """Return whether all steps are done, and the last has what the task states and what others calculated."""
    if len(done_in(steps)) < len(steps):
        return False
    last = final_step(plan)
    if last is None or len(steps) == 1:
        return len(steps) == 1
    text, task = steps[last["id"]]["result"] or "", assignment["task"]
    is_lost = any(_lost(steps[name], task, text) for name in last["dependencies"])
    return not (repeats(text, task) or is_lost or as_requested(text, assignment))


def _lost(step: StepRecord, task: str, text: str) -> list[str]:
    """Return the figures that a step calculated and the task did not state, if a text has none of them."""
    calculated = "; ".join(f"{figure:.15g}" for figure in step.get("figures", {}).values())
    new = unknown_figures(calculated, [task], derived=False, counts=True)
    return new if len(unknown_figures(text, new, derived=False, counts=True)) == len(figures_in(text)) else []


def made_up(plan: Plan, sources: Sequence[str]) -> list[str]:
    """Return which tasks have figures without a source: mostly results that no step has worked out yet."""
    unknown = {step["id"]: unknown_figures(step["task"], sources, derived=False) for step in plan}
    return [
        f"The task of step {name!r} has figures that the request does not: {', '.join(figures)}. Leave results to the"
        " steps that work them out."
        for name, figures in unknown.items()
        if figures
    ]


def texts_of(assignment: Assignment, steps: Mapping[str, StepRecord]) -> list[str]:
    """Return the sources of figures: the request, the conversation before it, the context, and the results."""
    request = str(assignment["request"].text) if "request" in assignment else ""
    earlier = [str(message.text) for message in assignment.get("conversation", ())]
    results = [record["result"] or "" for record in steps.values()]
    return [assignment["task"], request, *assignment.get("context", {}).values(), *earlier, *results]


def done_in(steps: Mapping[str, StepRecord]) -> set[str]:
    """Return the ids of the steps that are completed."""
    return {name for name, record in steps.items() if record["status"] == "completed"}


def kept_steps(plan: Plan, done: Collection[str]) -> list[dict[str, Any]]:
    """Return the steps of a plan that are done, each once: a flawed plan may have two of an id."""
    return [*{step["id"]: dict(step) for step in reversed(plan) if step["id"] in done}.values()][::-1]


def plan_text(plan: Plan) -> str:
    """Return a plan as models write it."""
    return json.dumps({"steps": [briefly(step) for step in plan]}, ensure_ascii=False)


def correction_text(feedback: str, flaws: Sequence[str]) -> str:
    """Return why a plan is to be written again: a person's feedback, and its flaws; empty without either."""
    parts = [prompts.REJECTED.format(feedback=quote("Feedback", feedback))] if feedback else []
    if flaws:
        parts.append(prompts.CORRECT_PLAN.format(flaws="\n".join(f"- {flaw}" for flaw in flaws)))
    return "\n\n".join(parts)


def briefly(step: Mapping[str, object]) -> Mapping[str, object]:
    """Return a step as models write them."""
    return {key: step[key] for key in ("id", "agent", "task", "dependencies")}


def result_text(record: StepRecord) -> str:
    """Return a step's result, or why it is missing."""
    if record["status"] == "completed":
        return record["result"] or ""
    return prompts.MISSING.format(what=record["task"], why=record["error"])


def replan_text(steps: Mapping[str, StepRecord]) -> str:
    """Return which steps are done, with their results, and which failed and why."""
    records = steps.values()
    done = [quote(record["id"], record["result"] or "") for record in records if record["status"] == "completed"]
    failed = [f"- {quote(record['id'], result_text(record))}" for record in records if record["status"] != "completed"]
    return prompts.REPLAN.format(done="\n".join(done) or "nothing", failed="\n".join(failed))


class Draft(TypedDict):
    """The answer that was written from the results; with a status if its writer is a pattern that did not complete."""

    text: str
    message_id: str | None
    status: NotRequired[str]
    stop_reason: NotRequired[str | None]


def synthesis_of(assignment: Assignment, plan: Plan, records: Sequence[StepRecord]) -> Assignment:
    """Return the assignment of writing the answer from the results, and the reasons for missing ones.

    Where the last of them would be the answer, or checks it, the answer is sent back with what is wrong with it.
    """
    results = {record["id"]: result_text(record) for record in records}
    data = {record["id"]: record["data"] for record in records if record["data"] is not None}
    asked: Assignment = {**assignment, "task": prompts.SYNTHESIZE_TASK, "context": results, "data": data}
    last = _last_step(plan)
    is_whole = all(record["status"] == "completed" for record in records)
    if last is None or not is_whole or not {last["id"], *last["dependencies"]} <= results.keys():
        return asked
    is_check = bool(_CHECKS.match(last["task"]) and last["dependencies"])
    wrong = [results.pop(last["id"])] if is_check else []
    answer = last["dependencies"][-1] if is_check else last["id"]
    by_id = {record["id"]: record for record in records}
    text, needed = results[answer], by_id[answer]["dependencies"]
    if lost := [figure for name in needed if name in by_id for figure in _lost(by_id[name], assignment["task"], text)]:
        wrong.append(f"It leaves out: {', '.join(lost)}. Put that in.")
    if unmet := as_requested(text, assignment):
        wrong.append(unmet)
    if not wrong:
        return asked
    del results[answer]
    return sent_back({**asked, "task": by_id[answer]["task"]}, text, wrong)


def kept_draft(draft: Draft, plan: Plan, steps: Mapping[str, StepRecord], assignment: Assignment) -> Draft:
    """Return the draft; if it breaks a limit of the task, rather the last result, with the figures that this lost."""
    last = final_step(plan)
    if (
        last is None
        or "status" in draft
        or len(done_in(steps)) < len(steps)
        or not as_requested(draft["text"], assignment)
    ):
        return draft
    text, task = steps[last["id"]]["result"] or "", assignment["task"]
    lost = {name: _lost(steps[name], task, text) for name in last["dependencies"]}
    lines = [
        f"{label}: {figure:.15g}".replace("_", " ")
        for name, figures in lost.items()
        for label, figure in steps[name].get("figures", {}).items()
        if f"{figure:.15g}" in figures
    ]
    whole = "\n\n".join(filter(None, [text, "\n".join(lines)]))
    return draft if repeats(text, task) or as_requested(whole, assignment) else Draft(text=whole, message_id=None)


def draft_of(answer: Answer, sources: Sequence[str]) -> tuple[Draft, list[Problem]]:
    """Return the answer that an agent wrote, and its problems, among them figures without a source."""
    draft: Draft = {"text": answer["text"], "message_id": answer.get("message_id")}
    errors = problems_inside(answer["errors"], "synthesize")
    if answer["status"] != "completed":
        draft = {**draft, "status": answer["status"], "stop_reason": errors[-1]["message"]}
    if invented := unknown_figures(answer["text"], sources):
        words = f"The answer has figures that neither the request nor the results have: {', '.join(invented)}."
        errors.append(Problem(where="synthesize", kind=UNKNOWN_FIGURES, message=words))
    return draft, errors


class Synthesis(SyncAsyncRunnable[Assignment, Answer]):
    """Has an agent write the final answer; a small model may give the request back word for word.

    Raises:
        EmptyReplyError: It only repeated the request.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.books = agent.name
        self.uses_reserve = True
        self.agents = [agent]
        self.speaker: Agent | None = agent
        self.reserved = agent.with_config(tags=[RESERVED])

    async def run(self, effects: Effects, value: Assignment, config: RunnableConfig) -> Answer:
        answer = await effects.invoke(self.reserved, value, config)
        request = value.get("request")
        if request is not None and repeats(answer["text"], str(request.text)):
            reason = f"Agent {self.agent.name!r} only repeated the request; ask again or use another model."
            raise EmptyReplyError(reason, usage=answer["usage"])
        return answer


def repeats(text: str, request: str) -> bool:
    """Tell whether a text is the request, word for word."""
    return text.casefold().split() == request.casefold().split()
