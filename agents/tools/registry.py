"""The tools of the default team, by the names that team files use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from langchain_core.tools import BaseTool

from agents.tools.arithmetic import calculator
from agents.tools.files import file_tools
from agents.tools.web import fetch_page, web_search

TOOLS: dict[str, Callable[[Path], list[BaseTool]]] = {
    "calculator": lambda _: [calculator],
    "fetch_page": lambda _: [fetch_page],
    "files": file_tools,
    "web_search": lambda _: [web_search],
}
"""Makers of tools by name; each takes the folder that file tools may read."""
