"""Whether orchestration is worth it: patterns on cases whose right answers are known.

cases       a case, files of cases, and what is wrong with an answer
evaluator   every pattern on every case: in parallel, within a budget, stored
compare     right, calls, tokens and seconds by pattern, and paired differences
page        an evaluation as tables and as one HTML page (evaluation.html.j2)
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.evaluation.cases import Case, case_of_run, read_cases
    from graphs.evaluation.compare import Outcome
    from graphs.evaluation.evaluator import Evaluation, aevaluate, evaluate
    from graphs.evaluation.page import evaluation_page, tables

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
