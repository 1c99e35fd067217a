"""Decisions: data of a form from a chat model, instead of words; `graphs.decisions` has those of the patterns.

decision       ask -> read -> validate; a wrong reply goes back to the model with the reason, three replies at most
forms          the schema of a decision, and its validation
json_replies   the JSON in a reply: after thinking, fenced, in prose, or slightly broken
"""

from agents.decisions.decision import AGAIN, IN_WORDS, Decided, Decision
from agents.decisions.forms import Form, OneOf, Paragraph, Short, nearest
from agents.decisions.json_replies import read_json, read_object

__all__ = [
    "AGAIN",
    "IN_WORDS",
    "Decided",
    "Decision",
    "Form",
    "OneOf",
    "Paragraph",
    "Short",
    "nearest",
    "read_json",
    "read_object",
]
