"""Patterns compared: what each did in all and by kind, paired differences with their uncertainty; tables and a page."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import NormalDist, fmean, median, stdev
from typing import NotRequired

from typing_extensions import TypedDict

from graphs.show import Table, one_line, render

MEASURES = ("calls", "tokens", "seconds")
_LONGEST = 160


class Outcome(TypedDict):
    """The result of a pattern on a case."""

    pattern: str
    case: str
    kind: str
    run: str
    """The id of the stored run."""
    status: str
    answer: str
    right: bool
    wrong: list[str]
    """Faults of the answer; empty if it is right."""
    calls: int
    tokens: int
    seconds: float
    """Seconds of work."""
    cost: NotRequired[float]
    """Cost of the run; missing without prices."""


class Totals(TypedDict):
    """The results of a pattern on all cases, or those of a kind."""

    pattern: str
    kind: str
    """Empty for all cases."""
    right: int
    run: int
    calls: float
    """Median per case, as are tokens and seconds."""
    tokens: float
    seconds: float
    cost: NotRequired[float]
    """Cost of all cases."""


Interval = tuple[float, float]
"""Lower and upper bound of a 95 % confidence interval."""


class Mean(TypedDict):
    """A mean difference per case, first minus second."""

    mean: float
    interval: Interval


class Difference(TypedDict):
    """Two patterns on the cases that both have run."""

    first: str
    second: str
    cases: int
    only_first: int
    """Cases that only the first got right."""
    only_second: int
    right: Mean
    """Difference of the shares of right answers."""
    p: float
    """Probability of a difference as large, if both were equally good."""
    calls: Mean
    tokens: Mean
    seconds: Mean


@dataclass(frozen=True)
class Evaluation:
    """The outcomes of an evaluation, in the order of its cases, and what they come to."""

    name: str
    outcomes: list[Outcome]
    left: list[str] = field(default_factory=list)
    """Ids of runs for which the budget was too small; the same evaluation goes on with them."""

    @property
    def totals(self) -> list[Totals]:
        return totals(self.outcomes)

    @property
    def differences(self) -> list[Difference]:
        return differences(self.outcomes)

    @property
    def all_right(self) -> bool:
        return not self.left and all(outcome["right"] for outcome in self.outcomes)

    def as_data(self) -> dict[str, object]:
        return {**vars(self), "totals": self.totals, "differences": self.differences}


def totals(outcomes: Sequence[Outcome]) -> list[Totals]:
    """Return what each pattern did in all, then by kind."""
    patterns = dict.fromkeys(outcome["pattern"] for outcome in outcomes)
    rows = []
    for kind in dict.fromkeys(["", *(outcome["kind"] for outcome in outcomes)]):
        for pattern in patterns:
            own = [item for item in outcomes if item["pattern"] == pattern and kind in ("", item["kind"])]
            if own:
                rows.append(_totals(pattern, kind, own))
    return rows


def _totals(pattern: str, kind: str, outcomes: Sequence[Outcome]) -> Totals:
    middle = {name: float(median(item[name] for item in outcomes)) for name in MEASURES}  # type: ignore[literal-required]
    costs = [item["cost"] for item in outcomes if "cost" in item]
    right = sum(outcome["right"] for outcome in outcomes)
    total: Totals = {"pattern": pattern, "kind": kind, "right": right, "run": len(outcomes), **middle}  # type: ignore[typeddict-item]
    return {**total, "cost": sum(costs)} if costs else total


def differences(outcomes: Sequence[Outcome]) -> list[Difference]:
    """Return the paired differences of all patterns, each on the cases that both have run."""
    by_pattern: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        by_pattern.setdefault(outcome["pattern"], {})[outcome["case"]] = outcome
    compared = []
    for (first, own), (second, others) in combinations(by_pattern.items(), 2):
        if pairs := [(own[case], others[case]) for case in own if case in others]:
            compared.append(_difference(first, second, pairs))
    return compared


def _difference(first: str, second: str, pairs: Sequence[tuple[Outcome, Outcome]]) -> Difference:
    right = [(key["right"], other["right"]) for key, other in pairs]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    spent = {
        name: mean_difference([key[name] - other[name] for key, other in pairs])  # type: ignore[literal-required]
        for name in MEASURES
    }
    return {
        "first": first,
        "second": second,
        "cases": len(pairs),
        "only_first": only_first,
        "only_second": only_second,
        "right": share_difference(only_first, only_second, len(pairs)),
        "p": mcnemar(only_first, only_second),
        **spent,  # type: ignore[typeddict-item]
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of McNemar's test: a binomial test of the cases that only one got right.

    Source: McNemar, Psychometrika 12 (1947), 153-157; exact as in Fagerland et al., BMC Medical Research Methodology
    13 (2013), 91.
    """
    number = only_first + only_second
    tail = sum(math.comb(number, k) for k in range(min(only_first, only_second) + 1)) / 2**number
    return float(min(1.0, 2 * tail))


def share_difference(only_first: int, only_second: int, cases: int) -> Mean:
    """Return the difference of the shares of right answers, which also few cases do not make look sure.

    Source of the interval: Bonett and Price, British Journal of Mathematical and Statistical Psychology 65 (2012),
    479-488: adjusted Wald, with half a case added to each of the four outcomes.
    """
    first, second = (only_first + 1) / (cases + 2), (only_second + 1) / (cases + 2)
    margin = NormalDist().inv_cdf(0.975) * math.sqrt((first + second - (first - second) ** 2) / (cases + 2))
    interval = max(first - second - margin, -1.0), min(first - second + margin, 1.0)
    return {"mean": (only_first - only_second) / cases, "interval": interval}


def mean_difference(values: Sequence[float]) -> Mean:
    """Return a mean with Student's t interval; of one case alone nothing is known but its own difference."""
    margin = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": fmean(values), "interval": (fmean(values) - margin, fmean(values) + margin)}


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution: Abramowitz and Stegun, 1964, table 26.10 and 26.7.5."""
    if freedom < 5:
        return (12.7062, 4.3027, 3.1824, 2.7764)[freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def tables(evaluation: Evaluation) -> Iterator[tuple[str, Table]]:
    """Yield the tables of an evaluation with their titles: all cases, kinds, differences, and what is wrong."""
    rows = evaluation.totals
    priced = any("cost" in total for total in rows)
    head = ("right", "calls", "tokens", "seconds", *(["cost"] if priced else []))
    note = "Calls, tokens and seconds: median per case; cost: in all." if priced else "Medians per case."
    in_all = [(total["pattern"], *_total_cells(total, priced)) for total in rows if not total["kind"]]
    yield "Patterns", Table(("pattern", *head), in_all, note)
    if kinds := [(total["kind"], total["pattern"], *_total_cells(total, priced)) for total in rows if total["kind"]]:
        yield "Kinds", Table(("kind", "pattern", *head), kinds)
    if compared := evaluation.differences:
        head = ("first - second", "cases", "right", "only one right", "p", "calls", "tokens", "seconds")
        note = "Mean per case, with 95 % interval; p: McNemar's exact test of the answers."
        yield "Differences", Table(head, [_difference_cells(item) for item in compared], note)
    wrong = [item for item in evaluation.outcomes if not item["right"]]
    if wrong:
        reasons = [(f"podium show {item['run']}", one_line("; ".join(item["wrong"]), _LONGEST)) for item in wrong]
        yield "Wrong", Table(("open it with", "what is wrong"), reasons)


def evaluation_page(evaluation: Evaluation) -> str:
    """Return an evaluation as one HTML page without script; texts of models are escaped."""
    return render(
        "evaluation.html.j2",
        heading=f"Evaluation {evaluation.name}",
        evaluation=evaluation,
        tables=list(tables(evaluation)),
        right=sum(outcome["right"] for outcome in evaluation.outcomes),
    )


def _total_cells(total: Totals, priced: bool) -> tuple[str, ...]:
    share = total["right"] / total["run"]
    spent = (f"{total['calls']:g}", f"{total['tokens']:,.0f}", f"{total['seconds']:.1f}")
    cost = (f"{total['cost']:.4g}" if "cost" in total else "",) if priced else ()
    return f"{total['right']} of {total['run']} ({share:.0%})", *spent, *cost


def _difference_cells(difference: Difference) -> tuple[str, ...]:
    return (
        f"{difference['first']} - {difference['second']}",
        str(difference["cases"]),
        _interval(difference["right"], "+.0%"),
        f"{difference['only_first']} : {difference['only_second']}",
        f"{difference['p']:.2g}",
        _interval(difference["calls"], "+.1f"),
        _interval(difference["tokens"], "+,.0f"),
        _interval(difference["seconds"], "+.1f"),
    )


def _interval(mean: Mean, form: str) -> str:
    low, high = mean["interval"]
    return f"{mean['mean']:{form}} ({low:{form}} to {high:{form}})"
