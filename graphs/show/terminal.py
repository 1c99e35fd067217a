"""A run in the terminal: a picture that is drawn over itself, or lines where that is not possible, and the timeline.

Texts of models are cleaned of control characters and never read as markup.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.runtime import visible
from graphs.show.live_state import Change, LiveState, LiveTask
from graphs.show.run_summary import RunSummary, Work
from graphs.show.tables import costs, plain_table
from graphs.show.wording import count, cut, duration, look, one_line

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_SECOND = 10
_STYLES = {"done": "green", "failed": "red", "back": "yellow", "stopped": "magenta", "none": "dim"}
_NARROW = 60
"""Columns below which agent, task and tokens are left out."""
_NAME, _AGENT = 28, 14
"""Columns of a task's name and of its agent."""
_TAIL = 4_000
"""Characters of the answer's end that are laid out for each picture."""
_AROUND = 3
"""Lines left empty: before the answer, and at the end of the screen."""
_CRITICAL, _OTHER = "█", "▒"
_ASCII = str.maketrans({_CRITICAL: "#", _OTHER: "=", "…": "~"})
_LABEL, _WORKER, _SECONDS, _FATE, _LEAST_BAR = 18, 14, 10, 10, 6
"""Columns of a timeline: work, agent, seconds, status, and the shortest scale."""


@contextmanager
def screen(state: LiveState, console: Console, *, quiet: bool = False) -> Iterator[Callable[[list[Change]], None]]:
    """Give a function that shows what has changed in a run: as a picture where the console can move, else in lines."""
    if quiet:
        yield lambda changes: None
    elif moves(console):
        with Live(console=console, auto_refresh=False) as live:
            yield lambda changes: live.update(drawn_live(state, time.time(), console), refresh=True)
            live.update(drawn_live(state, time.time(), console, ended=True), refresh=True)
    else:

        def write(changes: list[Change]) -> None:
            for line in (line for change in changes for line in news(state, change)):
                print(f"[{time.time() - state.began:6.1f} s] {line}", file=console.file, flush=True)

        yield write


def moves(console: Console) -> bool:
    """Tell whether pictures can be drawn over each other."""
    return console.is_terminal and not console.is_dumb_terminal


def drawn_live(state: LiveState, now: float, console: Console, *, ended: bool = False) -> RenderableType:
    """Draw the run as it is now: its tasks, and the end of the answer as far as there is room."""
    heading = Text.assemble(
        (f"{_frame(now)} {one_line(state.doing() or 'working')}", "bold cyan"), f"  {now - state.began:.0f} s"
    )
    parts: list[RenderableType] = [] if ended else [heading]
    shown = state.rows()
    room = max(2, console.height - _AROUND - 2)  # beside the heading and a line of the answer
    if not ended and len(shown) > room:
        parts.append(Text(f"  … and {len(shown) - room + 1} more", "dim"))
        shown = state.rows(room - 1)
    if shown:
        parts.append(_table(shown, now, wide=console.width >= _NARROW))
    if state.answer and not ended:
        left = max(1, console.height - len(console.render_lines(Group(*parts), pad=False)) - _AROUND)
        lines = Text(visible(state.answer[-_TAIL:])).wrap(console, console.width)
        parts += [Text(""), Text("\n").join(lines[-left:])]
    return Group(*parts)


def _table(shown: Sequence[LiveTask], now: float, *, wide: bool) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=None if wide else 1, max_width=_NAME if wide else None, no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column(max_width=_AGENT, no_wrap=True, overflow="ellipsis", style="blue")
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
    table.add_column(justify="right", no_wrap=True)
    if wide:
        table.add_column(justify="right", no_wrap=True, style="dim")
    for task in shown:
        waits = task.status == "running" and task.retry_at is not None and now < task.retry_at
        sign, tone = ("↻", "back") if waits else look(task.status)
        style = "cyan" if task.status == "running" and not waits else _STYLES[tone]
        sign = _frame(now) if task.status == "running" and not waits else sign
        name = Text.assemble("  " * task.level, (f"{sign} ", style), one_line(task.name))
        about = (Text(one_line(task.agent)), Text(_about(task))) if wide else ()
        took = task.status if task.started is None else f"{(task.ended or now) - task.started:.1f} s"
        many = f"{task.tokens / 1000:.1f}k tokens" if task.tokens >= 10_000 else count(task.tokens, "token")
        table.add_row(name, *about, took, *((Text(many if task.tokens else ""),) if wide else ()))
        if reason := _reason(task, now):
            style = "yellow" if task.status == "running" else style
            cells = ("", Text(reason, style)) if wide else (Text(f"{'  ' * task.level}  {reason}", style),)
            table.add_row(*(("", *cells) if wide else cells))
    return table


def _about(task: LiveTask) -> str:
    if task.record and (task.ended or not task.written):
        return one_line(task.record["task"])
    return one_line(task.note if task.ended else task.written)


def _reason(task: LiveTask, now: float) -> str:
    if task.status == "running" and task.failures:
        again = f" (again in {task.retry_at - now:.0f} s)" if task.retry_at and now < task.retry_at else ""
        return f"attempt {task.failures} failed: {one_line(task.note)}{again}"
    return one_line(task.note) if task.record and task.status in ("failed", "skipped") else ""


def _frame(now: float) -> str:
    return _FRAMES[int(now * _FRAMES_PER_SECOND) % len(_FRAMES)]


def news(state: LiveState, change: Change) -> Iterator[str]:
    """Yield what a change is worth in lines of plain text."""
    before, task = change
    name = one_line(state.path(task))
    if task.failures > (before.failures if before else 0):
        yield f"{name}: attempt {task.failures} failed, trying again: {one_line(task.note)}"
    if before and before.status == task.status:
        return
    if task.status == "running" and task.record:
        yield f"{name}: running ({one_line(task.agent)})"
    elif task.status not in ("pending", "running") and task.is_worth_a_line:
        time_ = f" in {duration(task.ended - task.started)}" if task.ended and task.started else ""
        tokens = f", {count(task.tokens, 'token')}" if task.tokens else ""
        note = "" if task.record and task.status == "completed" else one_line(task.note, 200)
        yield f"{name}: {task.status}{time_}{tokens}{': ' if note else ''}{note}"


def print_timeline(
    summary: RunSummary, console: Console, *, began: float | None = None, until: float | None = None
) -> None:
    """Print who worked when to scale, with the critical path, and the cost of each agent."""
    began, ended = began or summary.began, until or summary.ended
    lines = timeline_lines(summary, began, ended, console.width)
    legend = [f"{_CRITICAL} on the critical path"] if lines else []
    heading = f"{'Timeline: ' if lines else ''}{duration(ended - began)} in all"
    cost = costs(summary)
    table = plain_table(cost, _NAME if console.width >= _NARROW else console.width - 31)
    for line in [f"\n{heading}", *lines, *legend, "", *table.splitlines(), cost.note]:
        text = line if (console.encoding or "").lower().startswith("utf") else line.translate(_ASCII)
        shown = Text(visible(text), no_wrap=True, overflow="crop")
        shown.highlight_regex(f"{_CRITICAL}+", "cyan")
        shown.highlight_regex(f"{_OTHER}+", "blue")
        console.print(shown, style="bold" if line.strip() == heading else "", soft_wrap=True)


def timeline_lines(summary: RunSummary, began: float, ended: float, width: int) -> list[str]:
    """Draw one line for each piece of work, the whole run across the bars' column."""
    heads = [(one_line(item.id), one_line(item.agent)) for item in summary.work]
    agents = min(_WORKER, max((len(agent) for _, agent in heads), default=0)) if width >= _NARROW else 0
    names = min(_LABEL, max((len(name) for name, _ in heads), default=0), max(8, width // 3))
    cells = max(_LEAST_BAR, width - names - agents - _SECONDS - _FATE - (4 if agents else 2))
    columns = [(names, 0), (agents, 1)] if agents else [(names, 0)]
    return [
        "  ".join(
            [*(cut(head[place], size).ljust(size) for size, place in columns), _bar(item, began, ended, cells)]
        ).rstrip()
        for head, item in zip(heads, summary.work, strict=True)
    ]


def _bar(item: Work, began: float, ended: float, cells: int) -> str:
    """Draw a stretch to scale, at least one cell of it filled, with seconds and status; blank if it never began."""
    status = "" if item.status == "completed" else item.status
    if item.started is None or item.ended is None:
        return f"{'':{cells + _SECONDS}}{status}"
    scale = cells / max(ended - began, 1e-9)
    first = min(cells - 1, max(0, int((item.started - began) * scale)))
    last = min(cells, max(first + 1, round((item.ended - began) * scale)))
    fill = _CRITICAL if item.critical else _OTHER
    return f"{' ' * first}{fill * (last - first):<{cells - first}}{item.ended - item.started:7.1f} s {status}"
