"""Tables of the parts of a result, for every output: plan, steps, route, reviews, handoffs, errors and usage."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.runtime import visible
from agents.usage import COUNTS, sum_usage
from graphs.show.run_summary import AgentCost, RunSummary
from graphs.show.wording import Record, cut, duration, signed


class Table(NamedTuple):
    """A table of texts, not yet escaped for any output."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """A sentence below the table."""


_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "plan": {"step": "id", "agent": "agent", "task": "task", "after": "dependencies"},
    "steps": {"step": "id", "agent": "by", "status": "status", "tries": "attempts", "time": "time", "result": "result"},
    "reviews": {"by": "by", "criteria met": "score", "verdict": "acceptable", "feedback": "feedback"},
    "criteria": {"criterion": "criterion", "met": "met", "evidence": "evidence"},
    "candidates": {"agent": "agent", "confidence": "confidence", "asked": "asked"},
    "handoffs": {"from": "by", "to": "to", "task": "task", "reason": "reason", "refused": "refused"},
    "said": {"who": "by", "text": "text"},
    "errors": {"where": "where", "kind": "kind", "message": "message"},
    "triage": {"small": "small", "best agent": "agent", "reason": "reason"},
    "chosen": {"shape": "shape", "agent": "agent", "calls": "calls", "tokens": "tokens", "reason": "reason"},
    "ruling": {"ruling": "type", "text": "text", "feedback": "feedback"},
}
"""The headings of columns, and the keys of their values in the records."""
_DECISIONS = ("triage", "chosen", "route", "plan", "handoffs", "said")
"""Keys of decisions in the order they are made."""


def table_of(key: str, value: object) -> Table | None:
    """Return the table of a result's value under its key; None if it is empty or another graph's."""
    try:
        table = _table(key, value) if value else None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return table if table and table.rows else None


def decisions(result: Record) -> list[tuple[str, Table]]:
    """Return the decisions of a run in the order they were made, each with its title."""
    reviews = result.get("reviews")
    parts = [(key.capitalize(), table_of(key, result.get(key))) for key in _DECISIONS]
    for number, review in enumerate(reviews if isinstance(reviews, list) else (), 1):
        parts.append((f"Review {number}", table_of("review", review)))
    parts.append(("Ruling of a person", table_of("ruling", result.get("ruling"))))
    return [(title, table) for title, table in parts if table]


def costs(summary: RunSummary) -> Table:
    """Return calls, tokens and seconds by agent, functions included, and in all."""
    total = sum_usage(cost.usage for cost in summary.costs)
    rows = [
        (agent, *(f"{usage[name]:,}" for name in COUNTS), "" if seconds is None else f"{seconds:.2f}")  # type: ignore[literal-required]
        for agent, usage, seconds in [*summary.costs, AgentCost("in all", total)]
    ]
    note = "Tokens read and written"
    if cached := total.get("cached_tokens"):
        note += f"; {cached:,} read from a prompt cache"
    if price := total.get("cost"):
        note += f"; cost in all: {price:.4g}"
    return Table(("agent", "calls", "read", "written", "seconds"), rows, note)


def plain_table(table: Table, longest: int) -> str:
    """Return a table as lines of text, each cell cut to so many columns; numbers stand on the right."""
    lines = [table.head, *([" ".join(visible(str(cell)).splitlines()) for cell in row] for row in table.rows)]
    columns = [[cut(cell, longest) for cell in column] for column in zip(*lines, strict=True)]
    padded = []
    for column in columns:
        width = max(map(len, column))
        are_numbers = all(cell[:1].isdigit() or not cell for cell in column[1:])
        padded.append([cell.rjust(width) if are_numbers else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*padded, strict=True))


def _table(key: str, value: Any) -> Table | None:
    if key == "usage":
        return costs(RunSummary.of({"usage": value}))
    if key == "steps":
        return _records("steps", [_step(step) for step in value.values()])
    if key == "record":
        fields = [(name, str(item)) for name, item in _step(value).items() if item not in (None, "", [], {})]
        return Table(("field", "value"), fields)
    if key == "review":
        verdict = f"{_cell('acceptable', value['acceptable'])} by {value['by']}"
        return _records("criteria", value["criteria"], ": ".join(filter(None, (verdict, value["feedback"]))))
    if key == "route":
        ranked = {candidate["agent"]: candidate for candidate in value["candidates"]}
        rows = [
            {"agent": name, **ranked.get(name, {}), "asked": name in value["chosen"]}
            for name in dict.fromkeys([*ranked, *value["chosen"]])
        ]
        by = "" if value["decided_by"] in value["reason"] else f"{value['decided_by']}: "
        return _records("candidates", rows, f"{by}{value['reason']}; asked from {value['threshold']:.0%}")
    if key == "chosen":
        return _records(key, [{**chosen, **_spent(chosen["usage"])} for chosen in value])
    if key in ("triage", "ruling"):
        return _records(key, [value])
    return _records({"approved": "plan"}.get(key, key), value)


def _spent(usage: Record) -> dict[str, str]:
    return {"calls": f"{usage['calls']:,}", "tokens": f"{usage['input_tokens'] + usage['output_tokens']:,}"}


def _step(step: Record) -> dict[str, object]:
    started, ended = step["started"], step["ended"]
    shown = ("id", "task", "status", "attempts")
    return {
        **{name: step[name] for name in shown},
        "by": step["answered_by"] or step["agent"],
        "time": duration(ended - started) if started and ended else "",
        "result": step["error"] or step["result"] or "",
    }


def _records(key: str, records: Sequence[Record], note: str = "") -> Table | None:
    kept = {
        heading: name
        for heading, name in _COLUMNS.get(key, {}).items()
        if any(record.get(name) not in (None, "", []) for record in records)
    }
    rows = [[_cell(name, record.get(name)) for name in kept.values()] for record in records]
    return Table([*kept], rows, note) if kept else None


def _cell(name: str, value: object) -> str:
    if isinstance(value, bool):
        words = {"acceptable": ("accepted", "sent back")}.get(name, ("", ""))
        return f"✓ {words[0]}".strip() if value else f"✗ {words[1]}".strip()
    if name in ("confidence", "score") and isinstance(value, int | float):
        return f"{value:.0%}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return signed(str(value)) if name == "status" else "" if value is None else str(value)
