"""Questions to people in the middle of a run.

questions        one protocol for all of them: LangChain's human-in-the-loop requests and decisions
plan_approval    a planner's question whether a plan may run
work_acceptance  a supervisor's question whether work is accepted
"""

from graphs.people.plan_approval import RUN_PLAN, edited_plan, plan_lines, plan_question
from graphs.people.questions import AskPerson, DecisionType, HumanDecision, Question, interrupt_run, request_for
from graphs.people.work_acceptance import work_question

__all__ = [
    "RUN_PLAN",
    "AskPerson",
    "DecisionType",
    "HumanDecision",
    "Question",
    "edited_plan",
    "interrupt_run",
    "plan_lines",
    "plan_question",
    "request_for",
    "work_question",
]
