"""Displays of a run: in the terminal and in a notebook while it goes on, and as a page afterwards.

While it goes on: stream events -> background -> live_state -> terminal or notebook
background    a run on the background loop, followed by a live state
live_state    stream events -> the tasks at work and the answer so far
terminal      pictures and lines for the terminal, and the timeline
notebook      `watch`, `Run`, `model_or`

Afterwards: the record of a run -> run_summary -> report, notebook or terminal
run_summary   the record as plain data: steps and turns, critical path, costs
tables        the parts of a result as tables
report        a run as one HTML page
markup        templates (*.j2) for pages and pictures, and Markdown
svg           pictures of runs and graphs; drawing: the drawing of a compiled graph
wording       status signs, durations, texts on one line, the outcome of a node
"""

from graphs.show.background import follow
from graphs.show.drawing import draw_graph, pictures
from graphs.show.live_state import LiveState
from graphs.show.markup import is_page, render
from graphs.show.notebook import Run, model_or, watch
from graphs.show.report import page
from graphs.show.run_summary import RunSummary
from graphs.show.tables import Table, decisions, table_of
from graphs.show.terminal import moves, news, print_timeline, screen
from graphs.show.wording import one_line

__all__ = [
    "LiveState",
    "Run",
    "RunSummary",
    "Table",
    "decisions",
    "draw_graph",
    "follow",
    "is_page",
    "model_or",
    "moves",
    "news",
    "one_line",
    "page",
    "pictures",
    "print_timeline",
    "render",
    "screen",
    "table_of",
    "watch",
]
