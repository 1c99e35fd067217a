"""What a person sees of a run while it goes on: a drawing for terminals, and lines of plain text for everything else.

What models wrote is data: it is cleaned of control characters and never read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from graphs.show.view import Path, View, Work

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_SECOND = 10
_SIGNS = {
    "pending": ("·", "dim"),
    "running": ("", "cyan"),
    "retrying": ("↻", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("-", "yellow"),
}
_DEEPEST = 4
"""Levels of indentation; deeper steps are shown at this level."""
_NAME_COLUMN = 28
_AGENT_COLUMN = 14
_NARROWEST_TASK = 16
_TAIL = 4_000
"""Characters of the answer's end that are laid out anew for each picture."""
_AROUND = 3
"""Lines left empty: before the answer, and at the end of the screen."""


def clean(text: str) -> str:
    """Return a text without control characters, which could steer the terminal; tabs and line ends stay."""
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """Return a text on one line, without control characters."""
    return " ".join(clean(text).split())


def number(count: int) -> str:
    """Write a number of tokens in at most five characters."""
    return f"{count / 1000:.1f}k" if count >= 10_000 else str(count)


def levels(works: dict[Path, Work]) -> dict[Path, int]:
    """Return how deep each of some sister steps is indented: one more than the deepest of its dependencies."""
    found = dict.fromkeys(works, 0)
    for _ in range(_DEEPEST):  # in rounds, so that a cycle does no harm
        for path, work in works.items():
            above = [found.get((*path[:-1], one), -1) for one in work.record["dependencies"]]
            found[path] = min(_DEEPEST, 1 + max(above, default=-1))
    return found


def tree(view: View, above: Path | None = None, indent: int = 0) -> Iterator[tuple[int, Path, Work]]:
    """Yield the steps to show, each with its indentation: by level, under a running step those inside it."""
    sisters = {path: work for path, work in view.works.items() if view.owner(path[:-1]) == above}
    depth = levels(sisters)
    for path in sorted(sisters, key=lambda path: depth[path]):
        yield indent + depth[path], path, sisters[path]
        if sisters[path].status == "running":
            yield from tree(view, path, indent + depth[path] + 1)


def draw(view: View, now: float, console: Console, *, ended: bool = False) -> RenderableType:
    """Draw the run as it is now: what it does, its steps, and the end of the answer as far as there is room."""
    seconds = f"{now - view.began:.0f} s"
    heading = Text.assemble((f"{_frame(now)} {view.phase}", "bold cyan"), f"  {seconds}")
    parts: list[RenderableType] = [] if ended else [heading]
    if view.note and not ended:
        parts.append(Text(f"  {one_line(view.note)}", "dim", no_wrap=True, overflow="ellipsis"))
    parts += [Text(f"  {one_line(flaw)}", "yellow", no_wrap=True, overflow="ellipsis") for flaw in view.flaws]
    shown = list(tree(view))
    room = max(2, console.height - _AROUND - 2)  # beside the heading and a line of the answer
    if not ended and len(shown) > room:
        hidden = len(shown) - room + 1
        shown = _most_telling(shown, room - 1)
        parts.append(Text(f"  … and {hidden} more steps", "dim"))
    if shown:
        parts.append(_table(shown, now))
    if view.answer and not ended:
        left = max(1, console.height - len(console.render_lines(Group(*parts), pad=False)) - _AROUND)
        lines = Text(clean(view.answer[-_TAIL:])).wrap(console, console.width)
        parts += [Text(""), Text("\n").join(lines[-left:])]
    return Group(*parts)


def _most_telling(shown: list[tuple[int, Path, Work]], room: int) -> list[tuple[int, Path, Work]]:
    """Choose the steps for which there is room: those at work first, then those to come."""
    telling = {"running": 0, "failed": 1, "pending": 2, "skipped": 3, "completed": 4}
    kept = sorted(range(len(shown)), key=lambda index: telling[shown[index][2].status])[:room]
    return [shown[index] for index in sorted(kept)]


def _table(shown: list[tuple[int, Path, Work]], now: float) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(max_width=_NAME_COLUMN, no_wrap=True, overflow="ellipsis")
    table.add_column(max_width=_AGENT_COLUMN, no_wrap=True, overflow="ellipsis", style="blue")
    table.add_column(ratio=1, min_width=_NARROWEST_TASK)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    for indent, path, work in shown:
        sign, style = _sign(work, now)
        name = Text.assemble("  " * indent, (f"{sign} ", style), path[-1])
        task = Text(one_line(work.record["task"]), "dim", no_wrap=True, overflow="ellipsis")
        table.add_row(
            name, work.record["answered_by"] or work.record["agent"], task, _seconds(work, now), _tokens(work)
        )
        if reason := _reason(work, now):
            table.add_row("", "", Text(reason, style), "", "")
    return table


def _sign(work: Work, now: float) -> tuple[str, str]:
    sign, style = _SIGNS["retrying" if _waits(work, now) else work.status]
    return sign or _frame(now), style


def _frame(now: float) -> str:
    return _FRAMES[int(now * _FRAMES_PER_SECOND) % len(_FRAMES)]


def _waits(work: Work, now: float) -> bool:
    return work.status == "running" and work.again is not None and now < work.again


def _seconds(work: Work, now: float) -> str:
    started, ended = work.record["started"], work.record["ended"]
    return work.status if started is None else f"{(ended or now) - started:.1f} s"


def _tokens(work: Work) -> str:
    count = work.record["usage"]["output_tokens"] or work.written
    return f"{number(count)} tokens" if count else ""


def _reason(work: Work, now: float) -> str:
    """Say why a step failed, was skipped, or is being tried again."""
    if work.status in ("failed", "skipped"):
        return one_line(work.record["error"] or "")
    if work.status == "running" and work.reason:
        when = f"again in {work.again - now:.0f} s" if work.again and _waits(work, now) else "trying again"
        return f"attempt {work.failures} failed: {one_line(work.reason)} ({when})"
    if work.status == "running" and work.review:
        return f"sent back: {one_line(work.review)}"
    return ""


def news(before: View, after: View) -> Iterator[str]:
    """Say in lines of plain text what one event has changed."""
    if after.works is not before.works:
        new = [path for path in after.works if path not in before.works and after.works[path].status == "pending"]
        if new:
            yield "plan: " + ", ".join(_planned(_name(after, path), after.works[path]) for path in new)
        for path, work in after.works.items():
            yield from _news_of(_name(after, path), before.works.get(path), work)
    if after.note != before.note:
        yield one_line(after.note)
    if after.phase != before.phase:
        yield after.phase
    if after.flaws != before.flaws:
        yield from (f"the plan is flawed: {one_line(flaw)}" for flaw in after.flaws)


def _name(view: View, path: Path) -> str:
    """Name a step with the steps it is inside of, as `outer/inner`."""
    return "/".join(path[end - 1] for end in range(1, len(path) + 1) if path[:end] in view.works)


def _planned(name: str, work: Work) -> str:
    needs = work.record["dependencies"]
    after = f" after {' and '.join(needs)}" if needs else ""
    return one_line(f"{name} ({work.record['agent']}{after})")


def _news_of(name: str, before: Work | None, work: Work) -> Iterator[str]:
    if work is before:
        return
    if work.failures > (before.failures if before else 0):
        yield f"{name}: attempt {work.failures} failed, trying again: {one_line(work.reason or '')}"
    if work.review and work.review != (before.review if before else ""):
        yield f"{name}: sent back: {one_line(work.review)}"
    if work.status == (before.status if before else "pending"):
        return
    if work.status == "running":
        yield f"{name}: running ({work.record['agent']})"
    elif work.status == "completed":
        yield f"{name}: completed in {_seconds(work, work.record['ended'] or 0)} {_tokens(work)}".rstrip()
    else:
        yield f"{name}: {work.status}: {one_line(work.record['error'] or '')}"
