"""A run in a notebook: `watch` runs a graph with live progress and returns a `Run` that shows itself.

    run = watch(graph, "Compare a bus and a taxi.")   # a table that grows while the graph works
    run                                               # the answer, or what went wrong
    run["plan"], run["reviews"], run["steps"], …      # each part of the result is a table
    run.timeline, run.graph                           # pictures; their data is in `work`

Outside of notebooks `watch` draws in the terminal, or writes lines where that is not possible.
A `Run` is the plain result as a dict; `Run(await graph.ainvoke(…))` shows the result of any other call.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from rich.console import Console
from rich.text import Text

from agents.errors import NoModelError
from agents.models import chat_model, model_name
from agents.runtime import visible
from agents.usage import no_usage
from graphs.engine import record_of
from graphs.show import svg
from graphs.show.background import follow
from graphs.show.live_state import Change, LiveState
from graphs.show.markup import html_of, render
from graphs.show.run_summary import RunSummary, Work, question_text
from graphs.show.tables import Table, costs, plain_table, table_of
from graphs.show.terminal import screen
from graphs.show.wording import WAITING, Record, count, duration, look, one_line, signed

_HEAD = ("", "step", "agent", "outcome", "time")
_INDENT = "\u00a0\u00a0"
_CELL = 400
"""Characters of a cell; the whole text is in the value itself."""
_MOST_ROWS = 200
"""Rows of the table of progress, which is made ten times a second."""
_LINE = 140
"""Characters of the outcome of a step in the table of progress."""


class Displayed:
    """Shows itself in a notebook, also where it is nested in a dict or list."""

    def _mimes(self) -> tuple[str, str]:
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        html, plain = self._mimes()
        return {"text/html": html, "text/plain": plain}

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what IPython asks dicts and lists
        printer.text(self._mimes()[1])


@dataclass(frozen=True)
class Picture:
    """A picture that shows itself in a notebook."""

    svg: str = field(repr=False)
    work: Sequence[Work] = field(default=(), repr=False)
    """The work in it as data: agents, times, and what is on the critical path."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": "An SVG picture"}


class Part(Displayed):
    """A part of a result, the dict or list that it was, which shows itself as a table."""

    table = Table(("none",), [])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show it as a table; within a dict or list as what it is, without the fields that are empty."""
        if len(printer.stack) > 1:
            printer.pretty(_filled(self))
        else:
            super()._repr_pretty_(printer, cycle)

    def _mimes(self) -> tuple[str, str]:
        note = one_line(self.table.note)
        plain = "\n".join(filter(None, [plain_table(self.table, _CELL), note]))
        return _html(table=self.table, note=note), plain


def _filled(part: object) -> object:
    if isinstance(part, dict):
        return {name: _filled(value) for name, value in part.items() if value not in (None, "", [], {})}
    return [_filled(item) for item in part] if isinstance(part, list) else part


class DictPart(Part, dict[str, Any]):
    """A dict that shows itself."""


class ListPart(Part, list[object]):
    """A list that shows itself."""


class Run(Displayed, dict[str, Any]):
    """A result that shows itself; its parts do too."""

    def __init__(self, result: Record) -> None:
        super().__init__({key: _part(key, value) for key, value in result.items()})
        if isinstance(usage := self.get("usage"), DictPart):
            usage.table = costs(RunSummary.of(result))

    @property
    def answer(self) -> str:
        """The text that the run ended with."""
        last = next(reversed(record_of(self).get("messages", [])), None)
        return last.text if isinstance(last, AIMessage) else ""

    @property
    def status(self) -> str:
        """The status, also of a run that waits for a person."""
        return WAITING if self.get("__interrupt__") else str(self.get("status", ""))

    @property
    def timeline(self) -> Picture:
        """A picture of who worked when, with the critical path."""
        summary = RunSummary.of(self)
        return Picture(svg.timeline(summary), summary.timed)

    @property
    def graph(self) -> Picture:
        """A picture of the steps or turns, and what became of them."""
        summary = RunSummary.of(self)
        return Picture(svg.steps(summary), summary.steps)

    def _mimes(self) -> tuple[str, str]:
        reason = one_line(str(self.get("stop_reason") or ""))
        head = ": ".join(filter(None, [signed(self.status), reason]))
        questions = [question_text(interrupt.value) for interrupt in self.get("__interrupt__", ())]
        used = record_of(self).get("usage") or no_usage()
        tokens = used["input_tokens"] + used["output_tokens"]
        cost = f"{count(used['calls'], 'model call')}, {count(tokens, 'token')}"
        texts = [*questions, *([self.answer] if self.answer else [])]
        plain = "\n\n".join([head, *map(visible, texts), cost])
        return _html(head, texts=[*map(html_of, texts)], note=cost), plain


def _part(key: str, value: object) -> Any:
    table = table_of(key, value)
    if not isinstance(value, dict | list) or (value and table is None):
        return value
    inside = {"steps": "record", "reviews": "review"}.get(key, "")
    if isinstance(value, dict):
        part: Part = DictPart({name: _part(inside, item) if inside else item for name, item in value.items()})
    else:
        part = ListPart(_part(inside, item) if inside else item for item in value)
    part.table = table or part.table
    return part


def _html(head: str = "", *, texts: Sequence[str] = (), table: Table | None = None, note: str = "") -> str:
    return render("notebook.html.j2", head=head, texts=texts, table=table, note=note, longest=_CELL)


class Progress(Displayed):
    """A picture of a run that goes on, or has ended."""

    def __init__(self, state: LiveState, now: float, ending: str = "") -> None:
        self.head = f"{ending or '… at work'}, {duration(now - state.began)}"
        rows = [
            (
                look(task.status).sign,
                _INDENT * task.level + task.name,
                task.agent,
                one_line(task.note or task.written, _LINE),
                "" if task.started is None else duration((task.ended or now) - task.started).replace(" ", "\u00a0"),
            )
            for task in state.rows(_MOST_ROWS)
        ]
        self.table = Table(_HEAD, rows)

    def _mimes(self) -> tuple[str, str]:
        return _html(self.head, table=self.table), f"{self.head}\n{plain_table(self.table, _CELL)}"


def watch(graph: object, value: object, config: RunnableConfig | None = None, *, context: object = None) -> Run:
    """Run a graph as its `astream` does, show how it goes, and raise here what it raises.

    Works in a cell although the notebook's own event loop is running: the graph runs on a loop in the background.
    Stopping the cell stops the run.

    Args:
        graph: Any compiled graph.
        value: A request, an input, or a `Command` with the answer that a run waits for.
        config: As for `astream`, such as the thread.
        context: The run's settings.
    """
    state = LiveState(time.time())
    value = {"messages": value} if isinstance(value, str) else value
    with _progress(state) as show:
        follow(graph, value, config, context, state=state, show=show)
    return Run(state.values)


@contextmanager
def _progress(state: LiveState) -> Iterator[Callable[[list[Change]], object]]:
    """Show progress in the cell that is running, else on stderr; at last with how the run has ended."""
    notebook: Any = sys.modules.get("IPython")  # in a notebook it was imported long ago, in a script it may be missing
    handle, console, ending = None, Console(stderr=True, highlight=False), "stopped"
    shell = notebook and notebook.get_ipython()
    if shell and "Terminal" not in type(shell).__name__:  # IPython in a terminal cannot replace what it has shown
        handle = notebook.display.display(Progress(state, state.began), display_id=True)
    try:
        if handle:
            yield lambda changes: handle.update(Progress(state, time.time()))
        else:
            with screen(state, console) as show:
                yield show
        ending = Run(state.values).status
    except Exception as error:
        ending = f"ended by {type(error).__name__}"
        raise
    finally:
        if handle:
            handle.update(Progress(state, time.time(), signed(ending)))
        else:
            console.print(Text(f"{signed(ending)}, {duration(time.time() - state.began)}"))


def model_or(replies: Sequence[object] | Record) -> BaseChatModel:
    """Return the chat model that is configured or installed, else one that gives these replies; print which."""
    from agents.testing import ScriptedModel

    try:
        model = chat_model()
    except NoModelError:
        print("No model is set up or installed: the replies come from the script in this cell.")  # noqa: T201
        return ScriptedModel(replies)
    print(f"{model_name(model)} answers; its words may differ from those in the text here.")  # noqa: T201
    return model
