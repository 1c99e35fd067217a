"""Decisions that patterns ask models for, and the reading of their replies.

prompts        the prompts of all patterns
question       a request as one message
plans          plans of steps, and the final answer; plan_stream: steps that begin while their plan is written
classifiers    which agent suits a request; embedding_classifier: by similarity, without a chat model
verdicts       reviews of work
handoffs       turns of peers that hand over to each other
speakers       discussions in turns, and who speaks next
triage         whether one agent can answer alone
"""

from graphs.decisions import plans, prompts
from graphs.decisions.classifiers import NOBODY, AnyClassifier, Classifier, Classify, Ranking
from graphs.decisions.embedding_classifier import Candidate, EmbeddingClassifier
from graphs.decisions.handoffs import (
    FINISH,
    HANDOFF_TOOL,
    Handoff,
    TakeTurn,
    Turn,
    finish_tool,
    handoff_messages,
    handoff_tool,
    turn_tools,
)
from graphs.decisions.plan_stream import BeginEarly, StreamedPlan
from graphs.decisions.plans import Quiet, Synthesis, final_step
from graphs.decisions.question import question_of
from graphs.decisions.speakers import (
    CHOOSE,
    Discussion,
    DiscussionState,
    Turns,
    Utterance,
    ending,
    stopped,
    under_speakers,
)
from graphs.decisions.triage import Chosen, Delegate, RunPlan, Triage, triage_form, triage_prompt
from graphs.decisions.verdicts import CHECKS, CRITERIA, Best, CheckWork, Review, Reviewed, Reviewer, Verdict

__all__ = [
    "CHECKS",
    "CHOOSE",
    "CRITERIA",
    "FINISH",
    "HANDOFF_TOOL",
    "NOBODY",
    "AnyClassifier",
    "BeginEarly",
    "Best",
    "Candidate",
    "CheckWork",
    "Chosen",
    "Classifier",
    "Classify",
    "Delegate",
    "Discussion",
    "DiscussionState",
    "EmbeddingClassifier",
    "Handoff",
    "Quiet",
    "Ranking",
    "Review",
    "Reviewed",
    "Reviewer",
    "RunPlan",
    "StreamedPlan",
    "Synthesis",
    "TakeTurn",
    "Triage",
    "Turn",
    "Turns",
    "Utterance",
    "Verdict",
    "ending",
    "final_step",
    "finish_tool",
    "handoff_messages",
    "handoff_tool",
    "plans",
    "prompts",
    "question_of",
    "stopped",
    "triage_form",
    "triage_prompt",
    "turn_tools",
    "under_speakers",
]
