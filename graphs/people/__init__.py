"""Questions to people in the middle of a run: approval of a plan, a ruling on work, a clarification."""

from graphs.people.approval import ACTION, Approval, AskApproval, Proposal
from graphs.people.questions import AskUser, Clarified
from graphs.people.rulings import BEST, AskPerson, Ruling

__all__ = [
    "ACTION",
    "BEST",
    "Approval",
    "AskApproval",
    "AskPerson",
    "AskUser",
    "Clarified",
    "Proposal",
    "Ruling",
]
