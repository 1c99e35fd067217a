"""Pictures of a run from any graph's result: figures for notebooks, and one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agents.errors import ConfigurationError
from graphs.show.course import Course, clock, spent
from graphs.show.html_page import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def timeline_figure(result: Mapping[str, Any]) -> Figure:
    """Draw who worked when: the critical path, retries and waiting; where times are not recorded the order of turns.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    course = Course.of(result)
    worked = f": {clock(course.ended - course.began)}" if course.timed else ""
    figure: Figure = _figures().timeline(course, f"Timeline{worked}")
    return figure


def graph_figure(result: Mapping[str, Any]) -> Figure:
    """Draw the steps (or turns), what they depended on and what became of them; many are drawn in groups.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    course = Course.of(result)
    figure: Figure = _figures().graph(course, course.unit.capitalize())
    return figure


def cost_figure(result: Mapping[str, Any]) -> Figure:
    """Draw tokens and seconds by agent; seconds only where they are recorded.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    figure: Figure = _figures().cost(spent(result, Course.of(result)), "Cost by agent")
    return figure


def html(result: Mapping[str, Any], *, title: str | None = None) -> str:
    """Return a report as one HTML page, which needs no script, no network and no matplotlib.

    A stored run's `thread_id`, `pattern`, `started` and `questions` are shown too if they are beside the state.

    The heading is the title, else the request.
    """
    return page(result, title)


def _figures() -> ModuleType:
    if find_spec("matplotlib") is None:
        raise ConfigurationError("Figures need matplotlib: pip install -e '.[notebook]'")
    from graphs.show import figures

    return figures
