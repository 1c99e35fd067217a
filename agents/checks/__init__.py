"""Judgements without a model: of tasks, of answers, and of what a request needs.

guardrails   the checks of an agent: functions on what it is asked and on what it answers
stated       checks that a request states itself: limits, words, a form, facts that must appear
forms        the forms that a request may state: JSON, CSV, a table, a list, code
measures     what a text has of these: counts, words, a language; and a shorter version of it
figures      figures in texts, and those that come from nowhere
wanted       words of a task that show which tools it may need
"""

from typing import TYPE_CHECKING

from agents.checks.figures import by_figure, figures_in, readings_of, unknown_figures, with_count, with_named
from agents.checks.guardrails import Check, Guardrails, finding, sent_back
from agents.checks.wanted import (
    asks_for_figures,
    asks_for_names,
    asks_for_order,
    asks_for_words,
    names_address,
    names_files,
    names_what_changes,
)
from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.checks.stated import RULES, AsRequested, as_requested

__all__ = [
    "RULES",
    "AsRequested",
    "Check",
    "Guardrails",
    "as_requested",
    "asks_for_figures",
    "asks_for_names",
    "asks_for_order",
    "asks_for_words",
    "by_figure",
    "figures_in",
    "finding",
    "names_address",
    "names_files",
    "names_what_changes",
    "readings_of",
    "sent_back",
    "unknown_figures",
    "with_count",
    "with_named",
]

__getattr__ = lazily(__name__)
