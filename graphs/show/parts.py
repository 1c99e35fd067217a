"""The parts of a result that show themselves in a notebook: a plan, steps, a verdict, a route, handoffs, what it cost.

Each is the plain dict or list that it was, and goes through JSON as before. Text of models is escaped.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from graphs.show.course import clock
from graphs.show.live import clean

WAITING = "waiting for you"
_SIGNS = {
    "completed": "✓",
    "partial": "~",
    "failed": "✗",
    "sent back": "↩",
    "skipped": "-",
    "escalated": "↑",
    "needs_input": "?",
    WAITING: "?",
    "running": "…",
    "pending": "·",
}
_LONGEST = 400
"""Characters of a cell; the whole text is in the value itself."""

Rows = Iterable[Sequence[str]]


def duration(seconds: float) -> str:
    """Write a duration so that it stays on one line."""
    return clock(seconds).replace(" ", "\u00a0")


def sign(status: str) -> str:
    """Return a status with its sign."""
    return f"{_SIGNS.get(status, '')} {status.replace('_', ' ')}".strip()


def html_table(head: Sequence[str], rows: Rows) -> str:
    """Write a table that code hosts show as well, which allow no styles."""
    titles = "".join(f'<th style="text-align: left">{escape(one)}</th>' for one in head)
    lines = ("".join(f"{_CELL}{html_text(_short(one))}</td>" for one in row) for row in rows)
    return (
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(f'<tr>{one}</tr>' for one in lines)}</tbody></table>"
    )


_CELL = '<td style="text-align: left; vertical-align: top">'


def html_text(text: str) -> str:
    """Escape somebody's words, and keep their lines."""
    return escape(clean(text).strip(" \n")).replace("\n", "<br>")


def plain_table(head: Sequence[str], rows: Rows) -> str:
    """Write a table where there are only letters."""
    lines = [list(head), *([" ".join(clean(_short(cell)).splitlines()) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class Part:
    """Shows itself as a table."""

    head: Sequence[str] = ()

    @abstractmethod
    def rows(self) -> Rows:
        """Return the table's lines."""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        rows = [list(row) for row in self.rows()]
        return {"text/html": html_table(self.head, rows), "text/plain": plain_table(self.head, rows)}

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what IPython asks of dicts and lists
        printer.text(self._repr_mimebundle_()["text/plain"])


class Plan(Part, list[dict[str, Any]]):
    """The steps that were planned."""

    head = ("step", "agent", "task", "after")

    def rows(self) -> Rows:
        """Return a line per step."""
        return [(one["id"], one["agent"], one["task"], ", ".join(one["dependencies"])) for one in self]


class Steps(Part, dict[str, Any]):
    """The steps by id, and what became of them."""

    head = ("step", "agent", "status", "attempts", "time", "result")

    def rows(self) -> Rows:
        """Return a line per step."""
        return [
            (
                one["id"],
                one["answered_by"] or one["agent"],
                sign(one["status"]),
                str(one["attempts"]),
                duration(one["ended"] - one["started"]) if one["started"] and one["ended"] else "",
                one["result"] if one["status"] == "completed" else one["error"] or "",
            )
            for one in self.values()
        ]


class Verdict(Part, dict[str, Any]):
    """What a review said, criterion by criterion."""

    head = ("criterion", "met", "evidence")

    def rows(self) -> Rows:
        """Return a line per criterion, and the feedback."""
        told = [(one["criterion"], "✓" if one["met"] else "✗", one["evidence"]) for one in self["criteria"]]
        verdict = ("verdict", "✓" if self["acceptable"] else "✗", self["feedback"] or "accepted")
        return [*told, (f"{verdict[0]} by {self['by']}", *verdict[1:])]


class Reviews(Part, list[Verdict]):
    """All reviews of a run."""

    head = ("review", "by", "met", "verdict")

    def rows(self) -> Rows:
        """Return a line per review."""
        return [
            (
                str(number),
                one["by"],
                f"{sum(found['met'] for found in one['criteria'])} of {len(one['criteria'])}",
                "✓ accepted" if one["acceptable"] else f"✗ {one['feedback']}",
            )
            for number, one in enumerate(self, 1)
        ]


class Route(Part, dict[str, Any]):
    """Who was in question for a request, and who got it."""

    head = ("agent", "confidence", "chosen", "why")

    def rows(self) -> Rows:
        """Return a line per candidate, and for those chosen who were none."""
        if not self:
            return []
        chosen = list(self["chosen"])
        known = [one["agent"] for one in self["candidates"]]
        found = [
            (one["agent"], f"{one['confidence']:.2f}", "✓" if one["agent"] in chosen else "", self._why(one["agent"]))
            for one in self["candidates"]
        ]
        return [*found, *((name, "", "✓", self._why(name)) for name in chosen if name not in known)]

    def _why(self, name: str) -> str:
        first = next((one["agent"] for one in self["candidates"]), name)
        least = next((one["confidence"] for one in self["candidates"] if one["agent"] == name), None)
        if name == first:
            below = f"; below the threshold of {self['threshold']}" if (least or 0) < self["threshold"] else ""
            said = "" if self["reason"].startswith(self["decided_by"]) else f"{self['decided_by']}: "
            return f"{said}{self['reason']}{below}"
        return "" if least is not None else "nobody else was left"


class Handoffs(Part, list[dict[str, Any]]):
    """Who handed what to whom."""

    head = ("from", "to", "task", "reason")

    def rows(self) -> Rows:
        """Return a line per handoff."""
        return [
            (one["by"], one["to"], one["task"], f"✗ {one['refused']}" if one.get("refused") else one["reason"])
            for one in self
        ]


class Triage(Part, dict[str, Any]):
    """How a request was sorted."""

    head = ("the request is", "the best agent for it", "because")

    def rows(self) -> Rows:
        """Return the decision."""
        return [("small" if self["small"] else "large", self["agent"], self["reason"])] if self else []


class Problems(Part, list[dict[str, str]]):
    """What went wrong."""

    head = ("where", "kind", "message")

    def rows(self) -> Rows:
        """Return a line per problem."""
        return [(one["where"], one["kind"], one["message"]) for one in self]


class Cost(Part, dict[str, Any]):
    """Calls and tokens, by agent and in all."""

    head = ("agent", "calls", "tokens read", "tokens written")

    def rows(self) -> Rows:
        """Return a line per agent, and the sum."""
        lines = [*self.get("agents", {}).items(), ("in all", self)]
        return [
            (name, str(one["calls"]), f"{one['input_tokens']:,}", f"{one['output_tokens']:,}") for name, one in lines
        ]


PARTS: Mapping[str, Callable[[Any], Any]] = {
    "plan": Plan,
    "approved": Plan,
    "steps": Steps,
    "reviews": lambda reviews: Reviews(map(Verdict, reviews)),
    "route": Route,
    "handoffs": Handoffs,
    "triage": Triage,
    "errors": Problems,
    "usage": Cost,
}
"""How the values of a result show themselves, by their keys."""
