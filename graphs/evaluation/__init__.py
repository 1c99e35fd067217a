"""Comparisons of patterns on cases whose right answers are known: whether orchestration is worth it.

cases       a case, files of cases, and what is wrong with an answer
evaluator   every pattern on every case: in parallel, within a budget, stored
compare     right, calls, tokens and seconds by pattern, and paired differences; as tables and as one HTML page
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.evaluation.cases import Case, case_of_run, read_cases
    from graphs.evaluation.compare import Evaluation, Outcome, evaluation_page, tables
    from graphs.evaluation.evaluator import aevaluate, evaluate

__all__ = [
    "Case",
    "Evaluation",
    "Outcome",
    "aevaluate",
    "case_of_run",
    "evaluate",
    "evaluation_page",
    "read_cases",
    "tables",
]

__getattr__ = lazily(__name__)
