"""Tools for agents: a calculator, files, web pages and web search."""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.tools.arithmetic import calculator
    from agents.tools.files import file_tools
    from agents.tools.registry import TOOLS
    from agents.tools.web import can_search, fetch_page, web_search

__all__ = ["TOOLS", "calculator", "can_search", "fetch_page", "file_tools", "web_search"]

__getattr__ = lazily(
    __name__,
    {
        "TOOLS": "registry",
        "calculator": "arithmetic",
        "can_search": "web",
        "fetch_page": "web",
        "file_tools": "files",
        "web_search": "web",
    },
)
