"""An evaluation as tables, for a terminal or a page, and as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator

from graphs.evaluation.compare import Difference, Mean, Totals
from graphs.evaluation.evaluator import Evaluation
from graphs.show import Table, one_line, render

_LONGEST = 160


def tables(evaluation: Evaluation) -> Iterator[tuple[str, Table]]:
    """Yield the tables of an evaluation with their titles: all cases, kinds, differences, and what is wrong."""
    totals = evaluation.totals
    priced = any("cost" in total for total in totals)
    head = ("right", "calls", "tokens", "seconds", *(["cost"] if priced else []))
    note = "Calls, tokens and seconds: median per case; cost: in all." if priced else "Medians per case."
    rows = [(total["pattern"], *_totals(total, priced)) for total in totals if not total["kind"]]
    yield "Patterns", Table(("pattern", *head), rows, note)
    if kinds := [(total["kind"], total["pattern"], *_totals(total, priced)) for total in totals if total["kind"]]:
        yield "Kinds", Table(("kind", "pattern", *head), kinds)
    if compared := evaluation.differences:
        head = ("first - second", "cases", "right", "only one right", "p", "calls", "tokens", "seconds")
        note = "Mean per case, with 95 % interval by bootstrap; p: McNemar's exact test of the answers."
        yield "Differences", Table(head, [_difference(item) for item in compared], note)
    wrong = [(item["run"], "; ".join(item["wrong"])) for item in evaluation.outcomes if not item["right"]]
    if wrong:
        rows = [(f"podium show {run}", one_line(reason, _LONGEST)) for run, reason in wrong]
        yield "Wrong", Table(("open it with", "what is wrong"), rows)


def evaluation_page(evaluation: Evaluation) -> str:
    """Return an evaluation as one HTML page without script; texts of models are escaped."""
    return render(
        "evaluation.html.j2",
        heading=f"Evaluation {evaluation.name}",
        evaluation=evaluation,
        tables=list(tables(evaluation)),
        right=sum(outcome["right"] for outcome in evaluation.outcomes),
    )


def _totals(total: Totals, priced: bool) -> tuple[str, ...]:
    share = total["right"] / total["run"]
    spent = (f"{total['calls']:g}", f"{total['tokens']:,.0f}", f"{total['seconds']:.1f}")
    cost = (f"{total['cost']:.4g}" if "cost" in total else "",) if priced else ()
    return f"{total['right']} of {total['run']} ({share:.0%})", *spent, *cost


def _difference(difference: Difference) -> tuple[str, ...]:
    return (
        f"{difference['first']} - {difference['second']}",
        str(difference["cases"]),
        _mean(difference["right"], "+.0%"),
        f"{difference['only_first']} : {difference['only_second']}",
        f"{difference['p']:.2g}",
        _mean(difference["calls"], "+.1f"),
        _mean(difference["tokens"], "+,.0f"),
        _mean(difference["seconds"], "+.1f"),
    )


def _mean(mean: Mean, form: str) -> str:
    low, high = mean["interval"]
    return f"{mean['mean']:{form}} ({low:{form}} to {high:{form}})"
