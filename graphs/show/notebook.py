"""What a notebook shows of a graph at work: `watch` runs it with live progress and gives a `Run` that shows itself.

    run = watch(graph, "Compare a bus and a taxi.")   # a table that grows while the graph works
    run                                               # the answer, or why there is none
    run["plan"], run["reviews"], run["steps"], …      # each part of the result is a table
    run.timeline, run.graph                           # pictures

In a script, without IPython, `watch` draws that table in the terminal, or writes lines where none can be drawn.
A `Run` is the plain result as a dict; `Run(await graph.ainvoke(…))` shows the result of any other call.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from rich.console import Console
from rich.live import Live
from rich.text import Text

from agents.errors import NoModelError
from agents.models import chat_model, model_name
from agents.runtime import no_usage
from agents.testing import ScriptedModel
from graphs.show.course import Course, clock
from graphs.show.live import clean
from graphs.show.parts import PARTS, WAITING, Rows, duration, html_table, html_text, plain_table, sign
from graphs.show.trace import MODES, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Run", "model_or", "watch"]

_TICK = 0.2
"""Seconds between two pictures."""
_HEAD = ("", "step", "agent", "what came of it", "time")
_INDENT = "\u00a0\u00a0"
_LINE = 140
"""Characters of what came of a step; all of it is in the result."""


class Run(dict[str, Any]):
    """A result that shows itself; what is in it does too."""

    def __init__(self, result: Mapping[str, Any], trace: Trace | None = None) -> None:
        super().__init__({key: PARTS[key](one) if key in PARTS else one for key, one in result.items()})
        self.trace = trace or Trace(0.0)
        """What was seen of it, if it was watched."""

    @property
    def answer(self) -> str:
        """The text that the run ended with."""
        last = self["messages"][-1] if self.get("messages") else None
        return last.text if isinstance(last, AIMessage) else ""

    @property
    def timeline(self) -> Figure:
        """Who worked when, with the critical path."""
        from graphs.show import figures

        seen = Course(tuple(self.trace.items(time.time())))
        course = seen if seen.items else Course.of(self)
        return figures.timeline(course, f"Timeline: {clock(course.ended - course.began)}")

    @property
    def graph(self) -> Figure:
        """The steps or turns, and what became of them."""
        from graphs.show import figures

        return figures.graph(Course.of(self), "What became of it")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        head = f"{sign(self._status())}{': ' if self.get('stop_reason') else ''}{self.get('stop_reason') or ''}"
        asked = [_asked(one) for one in self.get("__interrupt__", ())]
        used = self.get("usage") or no_usage()
        calls = "1 model call" if used["calls"] == 1 else f"{used['calls']} model calls"
        cost = f"{calls}, {used['input_tokens'] + used['output_tokens']:,} tokens"
        texts = [*asked, self.answer] if self.answer else asked
        body = "".join(f"<blockquote>{html_text(one)}</blockquote>" for one in texts)
        return {
            "text/html": f"<p><b>{html_text(head)}</b></p>{body}<p>{cost}</p>",
            "text/plain": "\n\n".join([head, *texts, cost]),
        }

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what IPython asks of dicts
        printer.text(self._repr_mimebundle_()["text/plain"])

    def _status(self) -> str:
        return WAITING if self.get("__interrupt__") else str(self.get("status", ""))


def _asked(interrupt: Any) -> str:
    """Return the question of an interrupt, for people."""
    value = interrupt.value
    if not isinstance(value, Mapping):
        return str(value)
    if requests := value.get("action_requests"):
        return "\n\n".join(str(one.get("description", one)) for one in requests)
    return "\n".join(f"{key}: {', '.join(one) if isinstance(one, list) else one}" for key, one in value.items())


@dataclass(frozen=True)
class Progress:
    """A picture of a run that goes on, or has ended."""

    trace: Trace
    now: float
    ending: str = ""
    """How it ended."""

    def head(self) -> str:
        """Say how it stands."""
        return f"{self.ending or '… at work'}, {clock(self.now - self.trace.began)}"

    def ended_rows(self) -> Rows:
        """Return the lines that do not change any more."""
        return [row for row, one in zip(self.rows(), self.trace.shown(), strict=True) if one.ended is not None]

    def rows(self) -> Rows:
        """Return a line per node or step that is worth it."""
        return [
            (
                sign(one.status)[0],
                _INDENT * one.depth + one.name,
                one.worker,
                shorten(one.told or one.written, _LINE, placeholder=" …"),
                "" if one.started is None else duration((one.ended or self.now) - one.started),
            )
            for one in self.trace.shown()
        ]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        rows = [list(row) for row in self.rows()]
        head = self.head()
        return {
            "text/html": f"<p><b>{html_text(head)}</b></p>{html_table(_HEAD, rows)}",
            "text/plain": f"{head}\n{plain_table(_HEAD, rows)}",
        }


def watch(graph: Any, given: Any, config: RunnableConfig | None = None, *, context: Any = None) -> Run:
    """Run a graph as its `astream` does, and show how it goes; what it raises is raised here.

    Works in a cell although the notebook's own event loop is running: the graph has a thread and a loop for itself.
    Stopping the cell stops the run. `given` is a request, an input, or a `Command` with the answer that a run waits
    for.
    """
    value = {"messages": given} if isinstance(given, str) else given
    work = _Work(graph, value, config, {} if context is None else {"context": context})
    trace = Trace(time.time())
    update = _display(Progress(trace, trace.began))
    ending = "stopped"
    try:
        for events in work.batches():
            for event, when in events:
                trace = trace.apply(event, when)
            update(Progress(trace, time.time()))
        ending = Run(trace.state)._status()
    except Exception as error:
        ending = f"ended by {type(error).__name__}"
        raise
    finally:
        work.stop()
        update(Progress(trace, time.time(), sign(ending)))
    return Run(trace.state, trace)


def _display(progress: Progress) -> Callable[[Progress], None]:
    """Show a picture in the cell that is running, else on stderr, and return how to put another in its place."""
    notebook: Any = sys.modules.get("IPython")  # in a notebook it was imported long ago, in a script it may be missing
    if notebook and notebook.get_ipython():
        update: Callable[[Progress], None] = notebook.display.display(progress, display_id=True).update
        return update
    console = Console(stderr=True, highlight=False)
    return _drawn(console) if console.is_terminal and not console.is_dumb_terminal else _told(console)


def _drawn(console: Console) -> Callable[[Progress], None]:
    live = Live(console=console, auto_refresh=False)

    def update(progress: Progress) -> None:
        live.start()
        picture = progress._repr_mimebundle_()["text/plain"]
        live.update(Text(picture, no_wrap=True, overflow="ellipsis"), refresh=True)
        if progress.ending:
            live.stop()

    return update


def _told(console: Console) -> Callable[[Progress], None]:
    """Return what writes a line for each row that has ended since the last picture, and one for the end of all."""
    seen: Counter[str] = Counter()

    def update(progress: Progress) -> None:
        rows = [" ".join(" ".join(clean(cell).split()) for cell in row if cell) for row in progress.ended_rows()]
        for line in (Counter(rows) - seen).elements():
            console.print(Text(line), soft_wrap=True)
        seen.update(Counter(rows) - seen)
        if progress.ending:
            console.print(Text(progress.head()), soft_wrap=True)

    return update


class _Work:
    """A run in a thread of its own; the queue ends with None or with the exception that ended it."""

    def __init__(self, graph: Any, given: Any, config: Any, options: dict[str, Any]) -> None:
        self._events: Queue[tuple[Any, float] | BaseException | None] = Queue()
        self._cancel: Callable[[], object] = lambda: None
        stream = self._stream(graph, given, config, options)
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(asyncio.run, stream), daemon=True)
        self._thread.start()

    async def _stream(self, graph: Any, given: Any, config: Any, options: dict[str, Any]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel) if task else None
        try:
            async for event in graph.astream(given, config, stream_mode=list(MODES), subgraphs=True, **options):
                self._events.put((event, time.time()))
        except (Exception, asyncio.CancelledError) as error:
            self._events.put(error)
        else:
            self._events.put(None)

    def batches(self) -> Any:
        """Yield what has happened since the last batch, every tick; raise what ended the run."""
        while True:
            batch: list[tuple[Any, float]] = []
            until = time.monotonic() + _TICK
            while (left := until - time.monotonic()) > 0:
                with suppress(Empty):
                    event = self._events.get(timeout=left)
                    if isinstance(event, tuple):
                        batch.append(event)
                        continue
                    yield batch
                    if event is None:
                        return
                    raise event
            yield batch

    def stop(self) -> None:
        """End the run, if it goes on."""
        with suppress(RuntimeError):  # its loop is closed already
            self._cancel()
        self._thread.join(1)


def model_or(replies: Sequence[Any] | Mapping[str, Any]) -> BaseChatModel:
    """Return the chat model that is configured or installed, else one that gives these replies; print which."""
    try:
        model = chat_model()
    except NoModelError:
        print("No model is set up or installed: the replies come from the script in this cell.")  # noqa: T201
        return ScriptedModel(replies)
    print(f"{model_name(model)} answers; what it says may differ from what the text here tells.")  # noqa: T201
    return model
