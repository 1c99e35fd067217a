"""A planner: plan -> check -> (correct) plan | approve -> execute -> assess -> (replan) plan | synthesize -> answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.graph import START

from agents import Agent, Answer, AnyAgent, Assignment, Decided, Decision, Retry
from agents.arguments import check_limits
from agents.assignment import History, check_history, escaped
from agents.settings import settings
from graphs.decisions import plan_stream, plans, prompts
from graphs.engine import (
    Conclusion,
    Execute,
    Node,
    OnFailure,
    Pattern,
    PatternGraph,
    PatternState,
    Plan,
    Problem,
    Step,
    StepRecord,
    Update,
    conclude_steps,
    describe,
    findings,
    judge,
    lacking_in_steps,
    member,
    out_of_budget,
    problem,
    questions_in,
    team_of,
    under_names,
)
from graphs.errors import InvalidPlanError
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
    """Flaws of the plan, for the model to correct."""
    plan_attempts: int
    """Plans written since the last one that could be run."""
    adds_nothing: bool
    """Whether the plan has only steps that were done before it."""
    has_begun: bool
    """Whether steps began while the plan was being written; those that failed are not begun again."""
    replans: int
    draft: plans.Draft | None


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
        begin_early: Start steps while the rest of the plan is being written, if the model streams and no approval is
            wanted. Should the plan turn out flawed, those that have begun end and keep their results.
        on_failure, max_parallel, history, retry: As in `Workflow`.

    Raises:
        ConfigurationError: The team is empty, a name is taken twice or unknown, or a limit makes no sense.
    """

    name = "planner"
    state_schema: type[Any] = PlannerState
    record_schema: type[Any] = PlannerState
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
        check_limits(1, max_steps=max_steps, max_plan_attempts=max_plan_attempts)
        check_limits(0, max_replans=max_replans)
        self.agents = team_of(agents)
        self.fallback = member(next(iter(self.agents)) if fallback is None else fallback, self.agents, role="fallback")
        self.max_steps, self.max_plan_attempts, self.max_replans = max_steps, max_plan_attempts, max_replans
        self.history, self.retry = check_history(history), retry
        self.system = prompts.PLAN.format(team=describe(self.agents.values()), max_steps=max_steps)
        self.decide = Decision(plans.plan_form(list(self.agents)), model=model, name="planner")
        own = Agent("synthesizer", instructions=prompts.SYNTHESIZE, model=model)
        self.synthesizer = member(synthesizer, self.agents, role="synthesizer") if synthesizer is not None else own
        self.approval, self.begin_early, self.always_synthesizes = approval, begin_early, synthesizer is not None
        workers = {self.fallback.name: self.fallback, **self.agents}
        self.execute = Execute(workers, self.assignment, on_failure=on_failure, max_parallel=max_parallel, retry=retry)

    def ask_for_plan(self, state: PlannerState) -> list[BaseMessage]:
        """Give the model the request, and the flaws or the results of its last plan."""
        messages: list[BaseMessage] = [SystemMessage(self.system), prompts.question_of(self.assignment(state))]
        if state["steps"]:
            messages.append(HumanMessage(plans.replan_text(state["steps"])))
        if corrections := plans.correction_text(state["feedback"], state["flaws"]):
            messages += [AIMessage(plans.plan_text(state["plan"])), HumanMessage(corrections)]
        return messages

    def take_plan(self, state: PlannerState, decided: Decided) -> Update:
        """Keep the steps that are done, and append the new ones."""
        done = plans.done_in(state["steps"])
        new = [Step(**step).as_dict() for step in decided["value"]["steps"] if step["id"] not in done]
        plan = plans.kept_steps(state["plan"], done) + (new if self.begin_early else plans.with_named_results(new))
        update = {"plan": plan, "plan_attempts": state["plan_attempts"] + 1, "flaws": [], "has_begun": False}
        if done and not new:
            return {**update, "adds_nothing": True, "stop_reason": judge(state["steps"], None)[1]}
        return {**update, "adds_nothing": False}

    def no_plan(self, state: PlannerState, failure: Problem) -> Update:
        """Go on without a plan by the model."""
        failed = {"errors": [failure], "plan_attempts": state["plan_attempts"] + 1}
        return {**self._without_plan(state, failure["message"]), **failed}

    def may_begin(self, state: PlannerState) -> bool:
        """Return whether steps may begin before the plan is whole: no person approves it, and nothing was planned."""
        was_planned = state["plan_attempts"] or state["steps"] or state["feedback"]
        return self.begin_early and not (was_planned or self.approval or settings().approval)

    def check(self, state: PlannerState) -> Update:
        """Find what is wrong with the plan; after too many attempts, go on without one."""
        # Kept in the state: a process that resumes the run need not know the settings with which it was started.
        approval = state["approval"] or self.approval or settings().approval
        return {"approval": approval, **self._checked(state)}

    def _checked(self, state: PlannerState) -> Update:
        if state["stop_reason"]:
            return {}
        flaws = self._flaws(state, state["plan"])
        if flaws and state["plan_attempts"] >= self.max_plan_attempts:
            reason = f"no sound plan in {self.max_plan_attempts} attempts"
            return {**self._without_plan(state, reason), "errors": [self._flaw(flaw) for flaw in flaws]}
        if flaws and state["has_begun"]:
            kept = f"Kept: {', '.join(state['steps'])}; no other step began"
            why = f"The plan was flawed after steps had begun: {' '.join(flaws)} {kept}"
            return {"flaws": flaws, "errors": [self._flaw(why)]}
        if flaws or state["approved"]:
            return {"flaws": flaws}
        invented = plans.made_up(state["plan"], self._sources(state))
        if state["plan_attempts"] == 1 < self.max_plan_attempts:
            return {"flaws": invented}  # once: the plan is sound, so it can run all the same
        return {"flaws": [], "errors": [self._flaw(figures, plans.UNKNOWN_FIGURES) for figures in invented]}

    def _flaw(self, message: str, kind: str = InvalidPlanError.__name__) -> Problem:
        return {"where": "check", "kind": kind, "message": message}

    def _flaws(self, state: PlannerState, plan: Plan) -> list[str]:
        return findings(plan, self.agents, most=self.max_steps + len(plans.done_in(state["steps"])))

    def _sources(self, state: PlannerState) -> list[str]:
        return [*plans.texts_of(self.assignment(state), state["steps"]), state["feedback"]]

    def _without_plan(self, state: PlannerState, reason: str) -> Update:
        if done := plans.done_in(state["steps"]):
            why = f"The rest could not be planned: {reason}"
            return {"plan": plans.kept_steps(state["plan"], done), "flaws": [], "stop_reason": why}
        task = escaped(self.assignment(state)["task"]) or "Answer."
        step = Step("answer", self.fallback.name, task).as_dict()
        why = f"The request went to {self.fallback.name!r} as a whole: {reason}"
        return {"plan": [step], "flaws": [], "stop_reason": why}

    def checked(self, state: PlannerState) -> Literal["plan", "approve"]:
        """Let the model correct a flawed plan."""
        return "plan" if state["flaws"] else "approve"

    def ask_for_approval(self, state: PlannerState) -> Question | None:
        """Show a person the plan if approval is wanted, unless it was approved before or all of it is done."""
        plan, done = state["plan"], plans.done_in(state["steps"])
        if not state["approval"] or plan == state["approved"] or {step["id"] for step in plan} <= done:
            return None
        most = self.max_steps + len(done)
        return plan_question(plan, approved=state["approved"], done=done, agents=self.agents, max_steps=most)

    def take_approval(self, state: PlannerState, decision: HumanDecision | None) -> Update:
        """Run the approved plan unchanged, or plan again with the person's feedback."""
        if decision is None:
            return {"approved": state["plan"], "feedback": ""}
        if decision["type"] == "reject":
            return {"feedback": decision["message"], "plan_attempts": 0, "stop_reason": None}
        plan = edited_plan(decision) if decision["type"] == "edit" else state["plan"]
        return {"plan": plan, "approved": plan, "feedback": ""}

    def approved(self, state: PlannerState) -> Literal["plan", "execute"]:
        """Run the plan, unless a person rejected it."""
        return "plan" if state["feedback"] else "execute"

    def assess(self, state: PlannerState) -> Update:
        """Record the failed steps that will be planned again."""
        failed = [record for record in state["steps"].values() if record["status"] == "failed"]
        is_final = state["stop_reason"] or questions_in(state["steps"]) or state["replans"] >= self.max_replans
        if not failed or is_final or any(out_of_budget(record["problems"]) for record in failed):
            return {}
        return {"replans": state["replans"] + 1, "plan_attempts": 0, "abandoned": [*state["abandoned"], *failed]}

    def assessed(self, state: PlannerState) -> Literal["plan", "synthesize", "answer"]:
        """Plan the rest again after failures, or go on to the answer."""
        if not state["plan_attempts"]:
            return "plan"
        steps = state["steps"]
        if questions_in(steps) or not plans.done_in(steps):
            return "answer"
        # `adds_nothing`: an answer from the same results was rejected.
        again = state["adds_nothing"] or state["abandoned"] or (self.always_synthesizes and len(steps) > 1)
        has_answer = plans.has_answer(state["plan"], steps, self.assignment(state))
        return "answer" if has_answer and not again else "synthesize"

    def ask_for_answer(self, state: PlannerState) -> Assignment:
        """Give the synthesizer the request and every result; in place of a missing one the reason."""
        dropped = state["abandoned"] if state["stop_reason"] else []
        return plans.synthesis_of(self.assignment(state), state["plan"], [*dropped, *state["steps"].values()])

    def take_answer(self, state: PlannerState, answer: Answer) -> Update:
        """Keep the answer; figures in it that nothing explains are noted in `errors`."""
        draft, errors = plans.draft_of(answer, self._sources(state))
        if not state["stop_reason"]:  # else the last result is that of a part only
            draft = plans.kept_draft(draft, state["plan"], state["steps"], self.assignment(state))
        return {"draft": draft, "errors": errors}

    def answer_failed(self, state: PlannerState, error: Exception) -> Update:
        """Answer with all the results as they are."""
        failure = problem("synthesize", error)
        reason = state["stop_reason"] or f"The results could not be put together: {failure['message']}"
        draft = plans.Draft(text=under_names(state["steps"].values()), message_id=None)
        return {"draft": draft, "stop_reason": reason, "errors": [failure]}

    def conclude(self, state: PlannerState) -> Conclusion:
        """Answer with the draft, or with the results where none was written."""
        end = conclude_steps(state["steps"], state["stop_reason"])
        return {**end, **state["draft"]} if state["draft"] else end

    def lacking(self, state: Mapping[str, Any], pending: Sequence[str]) -> list[str]:
        """Return the steps of a stored plan whose agents are gone; a plan that is yet to be checked is corrected."""
        is_final = not {"approve", "execute"}.isdisjoint(pending)
        return lacking_in_steps(state["plan"], state["steps"], self.execute.agents) if is_final else []

    def _planning(self) -> plan_stream.StreamedPlan[PlannerState]:
        def flaws(state: PlannerState, plan: Plan) -> list[str]:
            return self._flaws(state, plan) or plans.made_up(plan, self._sources(state))

        asking = (self.ask_for_plan, self.decide, self.take_plan, self.no_plan)
        return plan_stream.StreamedPlan(*asking, execute=self.execute, may_begin=self.may_begin, flaws=flaws)

    def build(self) -> PatternGraph[PlannerState]:
        graph = PatternGraph(self, self.state_schema)
        graph.add_node("plan", self._planning())
        graph.add_rule("check", self.check)
        graph.add_node("approve", Node(self.ask_for_approval, AskPerson(), self.take_approval))
        graph.add_node("execute", self.execute)
        graph.add_rule("assess", self.assess)
        synthesis = plans.Synthesis(self.synthesizer)
        graph.add_node("synthesize", Node(self.ask_for_answer, synthesis, self.take_answer, failed=self.answer_failed))
        graph.add_edge(START, "plan")
        graph.add_edge("plan", "check")
        graph.add_conditional_edges("check", self.checked)
        graph.add_conditional_edges("approve", self.approved)
        graph.add_edge("execute", "assess")
        graph.add_conditional_edges("assess", self.assessed)
        graph.add_edge("synthesize", "answer")
        return graph
