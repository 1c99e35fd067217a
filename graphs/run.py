"""Run a compiled graph for a person: stream -> view -> screen, then answer, timeline and exit code.

Progress goes to stderr and the answer to stdout, each with colours and movement only where that is a terminal. The
graph runs in a thread of its own, so that nothing an agent does delays the screen or a signal.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from queue import Empty, Queue
from typing import Any, NoReturn

from langchain_core.messages import AIMessage, BaseMessage
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from agents.faults import explain
from agents.usage import no_usage, sum_usage
from graphs import timeline
from graphs.live import clean, draw, news, one_line
from graphs.view import ANSWERING, MODES, PLANNING, REPLANNING, WORKING, Event, View

COMPLETED, FAILED, BAD_USAGE, PARTIAL, NEEDS_INPUT = range(5)
"""Exit codes. An interrupted run is partial if a step was finished, else failed; 130 is left to shells."""

_CODES = {
    "completed": COMPLETED,
    "failed": FAILED,
    "partial": PARTIAL,
    "escalated": PARTIAL,
    "needs_input": NEEDS_INPUT,
}
_TICK = 0.1
"""Seconds between two pictures; also the longest a signal waits."""
_FAREWELL = 0.3
"""Seconds that an interrupted run has to put things away."""
_WORKERS = {PLANNING: "planner", REPLANNING: "planner", ANSWERING: "synthesizer"}
_MOST_ERRORS = 10


def run(graph: Any, request: str, *, as_json: bool = False, quiet: bool = False) -> int:
    """Run any compiled graph on a request, show how it goes and what comes out, and return the exit code.

    `as_json` prints the final state as one JSON object instead of the answer; `quiet` only the answer.
    """
    out, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    view = View.begin(PLANNING if "plan" in graph.nodes else WORKING, time.time())
    background = Background(graph, request)
    with noting_signals(), redirect_stdout(sys.stderr):
        watch = _quietly if quiet else _drawn if _moves(progress) else _told
        view, fault = watch(view, background, progress)
    now = time.time()
    state = final_state(view, fault, now)
    _print_answer(state, out, as_json=as_json)
    _print_verdict(state, progress)
    if not quiet:
        _print_timeline(view, state, now, progress)
    background.close()
    return _CODES.get(state["status"], FAILED)


def leave(code: int) -> NoReturn:
    """End the process; without any delay after a signal, or when threads are at work for a run that was given up."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more, or the disk is full
        os._exit(code or FAILED)
    others = [one for one in threading.enumerate() if one is not threading.main_thread()]
    if interrupted.is_set() or any(not one.daemon or one.name == Background.NAME for one in others):
        os._exit(code)
    sys.exit(code)


class Background:
    """A run in a thread of its own; `events` ends with None or with the exception that ended the run."""

    NAME = "podium-run"

    def __init__(self, graph: Any, request: str) -> None:
        # Not a SimpleQueue: a signal at the end of its time-out can make it wait for ever.
        self.events: Queue[Event | BaseException | None] = Queue()
        self._cancel: Callable[[], object] = lambda: None
        self._work = self._stream(graph, request)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work), name=self.NAME, daemon=True)
        self._thread.start()

    async def _stream(self, graph: Any, request: str) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        loop.set_exception_handler(lambda loop, context: None)  # what is left behind by a cancelled run is no news
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            async for event in graph.astream({"messages": request}, stream_mode=list(MODES), subgraphs=True):
                self.events.put(event)
        except asyncio.CancelledError:
            self.events.put(KeyboardInterrupt())
        except Exception as error:
            self.events.put(error)
        else:
            self.events.put(None)

    def batches(self) -> Iterator[list[Event]]:
        """Yield what has happened since the last batch, every tick; raise what ended the run.

        Raises:
            KeyboardInterrupt: A signal asked to stop.
        """
        while True:
            batch: list[Event] = []
            until = time.monotonic() + _TICK
            while (left := until - time.monotonic()) > 0:
                try:
                    event = self.events.get(timeout=left)
                except Empty:
                    break
                if event is None or isinstance(event, BaseException):
                    yield batch
                    if event is None:
                        return
                    raise event
                batch.append(event)
            yield batch
            if interrupted.is_set():
                raise KeyboardInterrupt

    def close(self) -> None:
        """End the run, if it goes on, as far as that is possible without waiting for it."""
        with suppress(RuntimeError):  # its loop is closed already
            self._cancel()
        self._thread.join(_FAREWELL)


interrupted = threading.Event()
"""A signal has asked this process to end."""


@contextmanager
def noting_signals() -> Iterator[None]:
    """Only note SIGINT (Ctrl-C) and SIGTERM in `interrupted`; a second signal ends the process at once."""

    def note(*_: object) -> None:
        if interrupted.is_set():
            os._exit(FAILED)
        interrupted.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


Watched = tuple[View, BaseException | None]
"""What was seen of a run, and what ended it if it did not end by itself."""


def _follow(view: View, background: Background, show: Callable[[View, View], object]) -> Watched:
    try:
        for batch in background.batches():
            for event in batch:
                before, view = view, view.apply(event, time.time())
                if view is not before:
                    show(before, view)
            show(view, view)
    except (Exception, KeyboardInterrupt) as error:
        return view, error
    return view, None


def _quietly(view: View, background: Background, console: Console) -> Watched:
    return _follow(view, background, lambda before, after: None)


def _told(view: View, background: Background, console: Console) -> Watched:
    def tell(lines: Iterable[str]) -> None:
        for line in lines:
            print(f"[{time.time() - view.began:6.1f} s] {line}", file=console.file, flush=True)

    tell([view.phase])
    return _follow(view, background, lambda before, after: tell(news(before, after)))


def _drawn(view: View, background: Background, console: Console) -> Watched:
    with Live(console=console, auto_refresh=False) as live:

        def picture(before: View, after: View) -> None:
            if before is after:  # once a tick, not with every event
                live.update(draw(after, time.time(), console), refresh=True)

        watched = _follow(view, background, picture)
        live.update(draw(watched[0], time.time(), console, ended=True), refresh=True)
    return watched


def _moves(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def final_state(view: View, fault: BaseException | None, now: float) -> dict[str, Any]:
    """Return the state a run ended with; of one that was cut short what was finished, in the same form."""
    state: dict[str, Any] = {"stop_reason": None, "errors": [], "messages": [], **view.state}
    state["usage"] = state.get("usage") or no_usage()
    if fault is None:
        asked = [str(one.value) for one in state.pop("__interrupt__", ())]
        asks = {"status": "needs_input", "stop_reason": "; ".join(asked)} if asked else {}
        return {"status": "completed", **state, **asks}
    finished, records = view.finished(), view.records()
    counted = state.get("steps", {})
    done = f"{len(finished)} of {len(records)} steps were finished" if records else "no step had begun"
    ending = "Interrupted" if isinstance(fault, KeyboardInterrupt) else f"Broken off ({explain(fault)})"
    return {
        **state,
        "status": "partial" if finished else "failed",
        "stop_reason": f"{ending} after {now - view.began:.0f} s; {done}.",
        "steps": {**counted, **records},
        "usage": sum_usage([state["usage"], *(one["usage"] for name, one in records.items() if name not in counted)]),
        "messages": [*state["messages"], *([AIMessage(_results(finished))] if finished else [])],
    }


def _results(finished: Mapping[str, str]) -> str:
    return "\n\n".join(f"## {one}\n\n{result}" for one, result in finished.items())


def plain_json(value: Any) -> Any:
    """Return a state as plain JSON, its messages as `{"role", "content"}`."""
    if isinstance(value, BaseMessage):
        return {"role": {"human": "user", "ai": "assistant"}.get(value.type, value.type), "content": value.text}
    if isinstance(value, Mapping):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _print_answer(state: Mapping[str, Any], console: Console, *, as_json: bool) -> None:
    plain = plain_json(state)
    if as_json:
        print(json.dumps(plain, indent=2), file=console.file, flush=True)
        return
    last = plain["messages"][-1] if plain["messages"] else {"role": "", "content": ""}
    if plain["status"] == "failed" or last["role"] != "assistant":
        return
    answer = clean(last["content"])
    if _moves(console):
        console.print()
        console.print(Markdown(answer, hyperlinks=False))  # a link's address must be seen, not only its words
    else:
        print(answer, file=console.file, flush=True)


def _print_verdict(state: Mapping[str, Any], console: Console) -> None:
    if state["status"] == "completed":
        return
    reason = one_line(state["stop_reason"] or "no reason was given")
    style = "red" if state["status"] == "failed" else "yellow"
    whole = not console.is_terminal  # for logs; a terminal gets whole words
    console.print(Text(f"\n{state['status'].replace('_', ' ').capitalize()}: {reason}", style), soft_wrap=whole)
    told = [f"{one['where']}: {one_line(one['message'])}" for one in state["errors"] if one["message"] not in reason]
    for line in told[:_MOST_ERRORS]:
        console.print(Text(f"- {line}", "dim"), soft_wrap=whole)
    if len(told) > _MOST_ERRORS:
        console.print(Text(f"- and {len(told) - _MOST_ERRORS} more", "dim"))


def _print_timeline(view: View, state: Mapping[str, Any], now: float, console: Console) -> None:
    records = {**view.records(), **state.get("steps", {})}
    phases = [(one.name, one.started, one.ended) for one in view.phases]
    spans = timeline.around(phases, _WORKERS, now) + timeline.spans(records, now)
    spans.sort(key=lambda span: (span.started is None, span.started or 0))
    drawn = timeline.lines(spans, view.began, now, console.width)
    marked = [f"{timeline.CRITICAL} on the critical path"] if drawn else []
    heading = f"\nTimeline: {now - view.began:.1f} s in all"
    for line in [heading, *drawn, *marked, "", *timeline.cost(state["usage"])]:
        text = line if (console.encoding or "").lower().startswith("utf") else timeline.in_ascii(line)
        shown = Text(clean(text), no_wrap=True, overflow="crop")
        shown.highlight_regex(f"{timeline.CRITICAL}+", "cyan")
        shown.highlight_regex(f"{timeline.OTHER}+", "blue")
        console.print(shown, style="bold" if line is heading else "", soft_wrap=True)
