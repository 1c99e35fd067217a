"""Questions to people in the middle of a run.

questions        one protocol for all of them: LangChain's human-in-the-loop requests and decisions
approvals        whether a plan may run, and whether work is accepted
"""

from graphs.people.approvals import RUN_PLAN, edited_plan, plan_question, work_question
from graphs.people.questions import AskPerson, HumanDecision, Question

__all__ = ["RUN_PLAN", "AskPerson", "HumanDecision", "Question", "edited_plan", "plan_question", "work_question"]
