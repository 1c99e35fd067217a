"""What patterns ask models to decide: plans, routes, verdicts, handoffs; and the prompts for it."""

from graphs.decisions import prompts
from graphs.decisions.classifiers import NOBODY, Candidate, Classifier, EmbeddingClassifier, ModelClassifier
from graphs.decisions.classify import Classify, Ranking, as_classifier
from graphs.decisions.handoffs import FINISH, HANDOFF_TOOL, Handoff, TakeTurn, Turn, finish_tool, handoff_tool
from graphs.decisions.plans import Synthesis, briefly, examples_of, plan_form, replan_text, told_of
from graphs.decisions.triage import Delegate, triage_examples, triage_form
from graphs.decisions.verdicts import CRITERIA, Check, Review, Verdict

__all__ = [
    "CRITERIA",
    "FINISH",
    "HANDOFF_TOOL",
    "NOBODY",
    "Candidate",
    "Check",
    "Classifier",
    "Classify",
    "Delegate",
    "EmbeddingClassifier",
    "Handoff",
    "ModelClassifier",
    "Ranking",
    "Review",
    "Synthesis",
    "TakeTurn",
    "Turn",
    "Verdict",
    "as_classifier",
    "briefly",
    "examples_of",
    "finish_tool",
    "handoff_tool",
    "plan_form",
    "prompts",
    "replan_text",
    "told_of",
    "triage_examples",
    "triage_form",
]
