"""Decisions that patterns ask models for, and the reading of their replies.

prompts        the prompts of all patterns, and a request as one message
plans          plans of steps, and the final answer; plan_stream: steps that begin while their plan is written
classifiers    which agent suits a request; embedding_classifier: by similarity, without a chat model
verdicts       reviews of work
handoffs       turns of peers that hand over to each other
speakers       discussions in turns, and who speaks next
triaging       whether one agent can answer alone

A pattern imports the modules of its decisions; the names below are for users.
"""

from graphs.decisions import classifiers, handoffs, plan_stream, plans, prompts, speakers, triaging, verdicts
from graphs.decisions.classifiers import Classifier
from graphs.decisions.embedding_classifier import Candidate, EmbeddingClassifier
from graphs.decisions.handoffs import handoff_tool
from graphs.decisions.verdicts import CRITERIA, Review

__all__ = [
    "CRITERIA",
    "Candidate",
    "Classifier",
    "EmbeddingClassifier",
    "Review",
    "classifiers",
    "handoff_tool",
    "handoffs",
    "plan_stream",
    "plans",
    "prompts",
    "speakers",
    "triaging",
    "verdicts",
]
