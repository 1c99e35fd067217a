"""What a person sees of a run: in the terminal and in a notebook while it goes on, and as a page afterwards."""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.show import timeline
    from graphs.show.course import Course
    from graphs.show.html_page import is_report
    from graphs.show.live import clean, draw, news, one_line
    from graphs.show.notebook import Run, model_or, watch
    from graphs.show.report import html
    from graphs.show.svg import pictures
    from graphs.show.view import MODES, PLANNING, RESUMING, SORTING, WORKING, Event, View

__all__ = [
    "MODES",
    "PLANNING",
    "RESUMING",
    "SORTING",
    "WORKING",
    "Course",
    "Event",
    "Run",
    "View",
    "clean",
    "draw",
    "html",
    "is_report",
    "model_or",
    "news",
    "one_line",
    "pictures",
    "timeline",
    "watch",
]

__getattr__ = lazily(
    __name__,
    {
        "Course": "course",
        "is_report": "html_page",
        **dict.fromkeys(("clean", "draw", "news", "one_line"), "live"),
        **dict.fromkeys(("Run", "model_or", "watch"), "notebook"),
        "html": "report",
        "pictures": "svg",
        **dict.fromkeys(("MODES", "PLANNING", "RESUMING", "SORTING", "WORKING", "Event", "View"), "view"),
    },
)
