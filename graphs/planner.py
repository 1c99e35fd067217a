"""A planner: plan -> check -> (correct) plan | approve -> execute -> assess -> (replan) plan | synthesize -> answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.graph import END, START

from agents.agent import Agent, Answer
from agents.assignment import Assignment, History, check_history, escaped, quote
from agents.conversion import AnyAgent
from agents.decisions import Decided, Decision
from agents.figures import unknown_figures
from agents.runtime import Retry
from agents.settings import settings
from graphs.decisions import (
    StreamedPlan,
    Synthesis,
    briefly,
    final_step,
    made_up,
    plan_form,
    prompts,
    question_of,
    repeats,
    replan_text,
    result_text,
    team_examples,
)
from graphs.engine import (
    Box,
    Conclusion,
    Draft,
    Execute,
    Node,
    OnFailure,
    Pattern,
    PatternGraph,
    PatternState,
    Problem,
    Step,
    StepRecord,
    conclude_steps,
    describe,
    each,
    findings,
    judge,
    lacking_in_steps,
    member,
    problem,
    questions_in,
    team_of,
    under_names,
)
from graphs.errors import BudgetError, ConfigurationError
from graphs.people import AskPerson, HumanDecision, Question, edited_plan, plan_question


class PlannerState(PatternState):
    """The shared state, the plan, and the records of its steps."""

    plan: list[dict[str, Any]]
    steps: dict[str, StepRecord]
    abandoned: list[StepRecord]
    """Steps that failed and were replaced by a new plan."""
    approved: list[dict[str, Any]]
    """The plan that may run."""
    approval: bool
    """Whether a person is asked before a plan runs."""
    feedback: str
    """Why a person rejected the plan."""
    flaws: list[str]
    """What is wrong with the plan, for the model to correct."""
    plan_attempts: int
    """Plans written since the last one that could be run."""
    adds_nothing: bool
    """Whether the plan has only steps that were done before it."""
    has_begun: bool
    """Whether steps began while the plan was being written; those that failed are not begun again."""
    replans: int
    draft: Draft | None
    """The answer that was written from the results."""


class Planner(Pattern[PlannerState]):
    """Plans a request, gives the steps to a team, and answers from their results.

    Args:
        agents: The team; a plan goes by their names, descriptions and examples.
        model: Plans and writes the final answer; None for the default chat model.
        fallback: Gets the whole request when no sound plan was written: an agent, or the name of one in the team; None
            for the first of the team.
        synthesizer: Agent that writes every final answer; None: the last step's result is the answer where all steps
            lead to it, else `model` writes it.
        approval: Have a person approve, edit or reject every plan before it runs (needs a checkpointer); see
            `graphs.people`. A run's `Settings.approval` also asks for it.
        max_steps: Steps that a plan may have, besides those that are done.
        max_plan_attempts: Plans written before the request goes to the fallback.
        max_replans: New plans for the rest after steps have failed.
        begin_early: Start steps while the rest of the plan is being written, if its model streams and nobody approves.
            Should the plan turn out flawed, those that have begun end and keep their results.
        on_failure, max_parallel, history, retry: As in `Workflow`.

    Raises:
        ConfigurationError: The team is empty, a name is taken twice or unknown, or a limit makes no sense.
    """

    name = "planner"
    synthesizes = True

    def __init__(
        self,
        agents: Iterable[AnyAgent],
        *,
        model: BaseChatModel | str | None = None,
        fallback: AnyAgent | str | None = None,
        synthesizer: AnyAgent | str | None = None,
        approval: bool = False,
        max_steps: int = 10,
        max_plan_attempts: int = 3,
        max_replans: int = 1,
        on_failure: OnFailure = "skip",
        max_parallel: int | None = None,
        begin_early: bool = False,
        history: History = "full",
        retry: Retry | None = None,
    ) -> None:
        if max_steps < 1 or max_plan_attempts < 1 or max_replans < 0:
            raise ConfigurationError("max_steps and max_plan_attempts must be 1 or more, max_replans 0 or more")
        self.agents = team_of(agents)
        self.fallback = member(fallback or next(iter(self.agents)), self.agents, role="fallback")
        self.max_steps = max_steps
        self.max_plan_attempts = max_plan_attempts
        self.max_replans = max_replans
        self.history = check_history(history)
        self.retry = retry
        self.approval = approval
        self.begin_early = begin_early
        self.decide = Decision(plan_form(list(self.agents)), model=model, name="planner")
        own = Agent("synthesizer", instructions=prompts.SYNTHESIZE, model=model)
        self.writes_answer = synthesizer is None
        """Whether the last step may write the answer, where all steps lead to it."""
        self.synthesizer = member(synthesizer, self.agents, role="synthesizer") if synthesizer else own
        self.execute = Execute(
            {self.fallback.name: self.fallback, **self.agents},
            assignment=self.assignment,
            on_failure=on_failure,
            max_parallel=max_parallel,
            retry=retry,
        )
        self.system = prompts.PLAN.format(
            team=describe(self.agents.values()), max_steps=max_steps, examples=team_examples(list(self.agents.values()))
        )

    def ask_for_plan(self, state: PlannerState) -> list[BaseMessage]:
        """Give the model the request, with what was wrong with its last plan or how that went."""
        messages: list[BaseMessage] = [SystemMessage(self.system), question_of(self.assignment(state))]
        if state["steps"]:
            messages.append(HumanMessage(replan_text(state["steps"])))
        corrections: list[str] = []
        if state["feedback"]:
            corrections.append(prompts.REJECTED.format(feedback=quote("Feedback", state["feedback"])))
        if state["flaws"]:
            corrections.append(prompts.CORRECT_PLAN.format(flaws="\n".join(f"- {flaw}" for flaw in state["flaws"])))
        if corrections:
            plan = json.dumps({"steps": [briefly(step) for step in state["plan"]]}, ensure_ascii=False)
            messages += [AIMessage(plan), HumanMessage("\n\n".join(corrections))]
        return messages

    def take_plan(self, state: PlannerState, decided: Decided) -> dict[str, Any]:
        """Keep the steps that are done, and put the new ones behind them."""
        done = _done(state)
        new = [Step(**step).as_dict() for step in decided["value"]["steps"] if step["id"] not in done]
        plan = _kept(state) + new
        update = {"plan": plan, "plan_attempts": state["plan_attempts"] + 1, "flaws": [], "has_begun": False}
        update["adds_nothing"] = bool(done) and not new
        if done and not new:
            update["stop_reason"] = judge(state["steps"], None)[1]
        return update

    def plan_failed(self, state: PlannerState, error: Exception) -> dict[str, Any]:
        """Go on without a plan of the model's."""
        return self._refused(state, problem("plan", error))

    def may_begin(self, state: PlannerState) -> bool:
        """Return whether steps may begin before the plan is whole: no person approves it, and nothing was planned."""
        asks = state["approval"] or self.approval or settings().approval
        return self.begin_early and not (asks or state["plan_attempts"] or state["steps"] or state["feedback"])

    def _refused(self, state: PlannerState, failure: Problem) -> dict[str, Any]:
        attempts = state["plan_attempts"] + 1
        return {**self._without_plan(state, failure["message"]), "errors": [failure], "plan_attempts": attempts}

    def check(self, state: PlannerState) -> dict[str, Any]:
        """Find what is wrong with the plan; after too many attempts, go on without one."""
        # Kept in the state: who resumes the run with an answer need not know what it was started with.
        approval = state["approval"] or self.approval or settings().approval
        return {"approval": approval, **self._checked(state)}

    def _checked(self, state: PlannerState) -> dict[str, Any]:
        if state["stop_reason"]:
            return {}
        flaws = self._flaws(state, state["plan"])
        if flaws and state["plan_attempts"] >= self.max_plan_attempts:
            errors = [{"where": "check", "kind": "InvalidPlanError", "message": flaw} for flaw in flaws]
            reason = f"no sound plan in {self.max_plan_attempts} attempts"
            return {**self._without_plan(state, reason), "errors": errors}
        if flaws and state["has_begun"]:
            return {"flaws": flaws, "errors": [_flawed(flaws, state["steps"])]}
        if flaws or state["approved"]:
            return {"flaws": flaws}
        invented = made_up(state["plan"], self._sources(state))
        if state["plan_attempts"] == 1 < self.max_plan_attempts:
            return {"flaws": invented}  # once: the plan is sound, so it can run all the same
        return {"flaws": [], "errors": [_unknown("check", figures) for figures in invented]}

    def _flaws(self, state: PlannerState, plan: Sequence[Mapping[str, Any]]) -> list[str]:
        return findings(plan, self.agents, most=self.max_steps + len(_done(state)))

    def _sources(self, state: PlannerState) -> list[str]:
        """Return the texts whose figures are known: what was asked and said before, and the results."""
        asked = self.assignment(state)
        earlier = [str(message.text) for message in asked.get("conversation", ())]
        results = [record["result"] or "" for record in state["steps"].values()]
        request = str(asked["request"].text) if "request" in asked else ""
        return [asked["task"], request, *asked.get("context", {}).values(), *earlier, *results, state["feedback"]]

    def _without_plan(self, state: PlannerState, reason: str) -> dict[str, Any]:
        """Keep what is done; if nothing is, give the whole request to the fallback."""
        if _done(state):
            return {"plan": _kept(state), "flaws": [], "stop_reason": f"The rest could not be planned: {reason}"}
        task = escaped(self.assignment(state)["task"]) or "Answer."
        step = Step("answer", self.fallback.name, task).as_dict()
        why = f"The request went to {self.fallback.name!r} as a whole: {reason}"
        return {"plan": [step], "flaws": [], "stop_reason": why}

    def checked(self, state: PlannerState) -> Literal["plan", "approve"]:
        """Let the model correct a flawed plan."""
        return "plan" if state["flaws"] else "approve"

    def ask_for_approval(self, state: PlannerState) -> Question | None:
        """Show a person the plan, unless nobody asked for that, it was approved before, or all of it is done."""
        plan, done = state["plan"], _done(state)
        if not state["approval"] or plan == state["approved"] or {step["id"] for step in plan} <= done:
            return None
        return plan_question(plan, approved=state["approved"], done=done, agents=self.agents, max_steps=self.max_steps)

    def take_approval(self, state: PlannerState, decision: HumanDecision | None) -> dict[str, Any]:
        """Run what was approved as it stands, or plan again with the person's feedback."""
        if decision is None:
            return {"approved": state["plan"], "feedback": ""}
        if decision["type"] == "reject":
            return {"feedback": decision["message"], "plan_attempts": 0, "stop_reason": None}
        plan = edited_plan(decision) if decision["type"] == "edit" else state["plan"]
        return {"plan": plan, "approved": plan, "feedback": ""}

    def approved(self, state: PlannerState) -> Literal["plan", "execute"]:
        """Run the plan, unless a person rejected it."""
        return "plan" if state["feedback"] else "execute"

    def assess(self, state: PlannerState) -> dict[str, Any]:
        """Note which steps are to be planned again."""
        if not self._may_replan(state):
            return {}
        failed = [record for record in state["steps"].values() if record["status"] == "failed"]
        return {"replans": state["replans"] + 1, "plan_attempts": 0, "abandoned": [*state["abandoned"], *failed]}

    def _may_replan(self, state: PlannerState) -> bool:
        failed = [record for record in state["steps"].values() if record["status"] == "failed"]
        broke = any(why["kind"] == BudgetError.__name__ for record in failed for why in record["problems"])
        asks = questions_in(state["steps"])
        return bool(failed) and not (broke or asks or state["stop_reason"]) and state["replans"] < self.max_replans

    def assessed(self, state: PlannerState) -> Literal["plan", "synthesize", "answer"]:
        """Plan the rest again after failures, or go on to the answer."""
        if not state["plan_attempts"]:
            return "plan"
        if questions_in(state["steps"]):
            return "answer"
        return "synthesize" if _done(state) and not self._is_answered(state) else "answer"

    def _is_answered(self, state: PlannerState) -> bool:
        """Whether all steps are done and lead to one whose result is the answer, so that nothing need be written."""
        if state["adds_nothing"]:  # an answer from these results was rejected
            return False
        if state["abandoned"] or len(_done(state)) < len(state["steps"]):
            return len(state["steps"]) == 1 and not state["abandoned"]
        if len(state["steps"]) == 1:
            return True
        last = final_step(state["plan"]) if self.writes_answer else None
        if last is None or last["id"] not in state["steps"]:
            return False
        return not repeats(state["steps"][last["id"]]["result"] or "", self.assignment(state)["task"])

    def ask_for_answer(self, state: PlannerState) -> Assignment:
        """Give the synthesizer the request and every result, or why there is none."""
        dropped = state["abandoned"] if state["stop_reason"] else []
        records = [*dropped, *state["steps"].values()]
        results = {record["id"]: result_text(record) for record in records}
        data = {record["id"]: record["data"] for record in records if record["data"] is not None}
        return {**self.assignment(state), "task": prompts.SYNTHESIZE_TASK, "context": results, "data": data}

    def take_answer(self, state: PlannerState, answer: Answer) -> dict[str, Any]:
        """Keep the answer; figures in it that come from nowhere are said in `errors`."""
        invented = unknown_figures(answer["text"], self._sources(state))
        words = f"The answer has figures that neither the request nor the results have: {', '.join(invented)}."
        draft = {"draft": {"text": answer["text"], "message_id": answer.get("message_id")}}
        return {**draft, "errors": [_unknown("synthesize", words)]} if invented else draft

    def answer_failed(self, state: PlannerState, error: Exception) -> dict[str, Any]:
        """Answer with all the results as they are."""
        failure = problem("synthesize", error)
        reason = state["stop_reason"] or f"The results could not be put together: {failure['message']}"
        draft: Draft = {"text": under_names(state["steps"].values()), "message_id": None}
        return {"draft": draft, "stop_reason": reason, "errors": [failure]}

    def conclude(self, state: PlannerState) -> Conclusion:
        """Answer with what was written from the results, or with the results."""
        end = conclude_steps(state["steps"], state["stop_reason"])
        return {**end, **state["draft"]} if state["draft"] else end

    def lacking(self, state: Mapping[str, Any], pending: Sequence[str]) -> list[str]:
        """Return the steps of a stored plan whose agents are gone; a plan that is yet to be checked is corrected."""
        is_final = not {"approve", "execute"}.isdisjoint(pending)
        return lacking_in_steps(state["plan"], state["steps"], self.execute.agents) if is_final else []

    def inside(self) -> dict[str, list[Box]]:
        """Draw the agents."""
        return {"execute": each(self.agents.values()), "synthesize": each([self.synthesizer])}

    def planning(self) -> StreamedPlan:
        """Return the node that plans, and begins steps while it does."""
        return StreamedPlan(
            self.ask_for_plan,
            self.decide,
            self.take_plan,
            execute=self.execute,
            may_begin=self.may_begin,
            flaws=lambda state, plan: self._flaws(state, plan) or made_up(plan, self._sources(state)),
            refused=self._refused,
        )

    def build(self) -> PatternGraph[PlannerState]:
        """Return the uncompiled graph."""
        graph = PatternGraph(self, PlannerState)
        graph.add_node("plan", self.planning())
        graph.add_rule("check", self.check)
        graph.add_node("approve", Node(self.ask_for_approval, AskPerson(), self.take_approval))
        graph.add_node("execute", self.execute)
        graph.add_rule("assess", self.assess)
        synthesis = Synthesis(self.synthesizer)
        graph.add_node("synthesize", Node(self.ask_for_answer, synthesis, self.take_answer, failed=self.answer_failed))
        graph.add_rule("answer", self.answer)
        graph.add_edge(START, "plan")
        graph.add_edge("plan", "check")
        graph.add_conditional_edges("check", self.checked)
        graph.add_conditional_edges("approve", self.approved)
        graph.add_edge("execute", "assess")
        graph.add_conditional_edges("assess", self.assessed)
        graph.add_edge("synthesize", "answer")
        graph.add_edge("answer", END)
        return graph


def _flawed(flaws: Sequence[str], begun: Iterable[str]) -> Problem:
    kept = f"Kept: {', '.join(begun)}; no other step began"
    message = f"The plan was flawed after steps had begun: {' '.join(flaws)} {kept}"
    return {"where": "check", "kind": "InvalidPlanError", "message": message}


def _unknown(where: str, message: str) -> dict[str, str]:
    return {"where": where, "kind": "UnknownFigures", "message": message}


def _kept(state: PlannerState) -> list[dict[str, Any]]:
    """Return the steps of the plan that are done, each once: a flawed plan may have two of an id."""
    done = _done(state)
    return [*{step["id"]: step for step in reversed(state["plan"]) if step["id"] in done}.values()][::-1]


def _done(state: PlannerState) -> set[str]:
    return {name for name, record in state["steps"].items() if record["status"] == "completed"}
