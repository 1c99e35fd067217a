"""Whether orchestration is worth it: patterns on cases whose right answers are known.

cases       a case, and files of cases
findings    what is wrong with an answer
evaluator   every pattern on every case: in parallel, within a budget, stored
compare     right, calls, tokens and seconds by pattern, and paired differences
page        an evaluation as tables and as one HTML page (evaluation.html.j2)
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.evaluation.cases import Case, case_of_run, read_cases
    from graphs.evaluation.compare import Difference, Outcome, Totals
    from graphs.evaluation.evaluator import Evaluation, Subject, aevaluate, evaluate
    from graphs.evaluation.page import evaluation_page, tables

__all__ = [
    "Case",
    "Difference",
    "Evaluation",
    "Outcome",
    "Subject",
    "Totals",
    "aevaluate",
    "case_of_run",
    "evaluate",
    "evaluation_page",
    "read_cases",
    "tables",
]

__getattr__ = lazily(__name__)
