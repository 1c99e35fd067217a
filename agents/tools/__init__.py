"""Tools for agents.

arithmetic     a calculator
files          the text files of one folder
web            web pages and search; pages: pages as Markdown; addresses: which ones may be opened
mcp            the tools of MCP servers; mcp_replies: what these send, checked and bounded
memory         remember and recall facts about a user, across threads
readable_tool  tools that return their errors as text
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from agents.tools.arithmetic import calculator
    from agents.tools.files import file_tools
    from agents.tools.mcp import MCPTools
    from agents.tools.memory import NO_USER, memory_tools, user_of
    from agents.tools.web import can_search, fetch_page, fetch_tool, web_search

__all__ = [
    "NO_USER",
    "MCPTools",
    "calculator",
    "can_search",
    "fetch_page",
    "fetch_tool",
    "file_tools",
    "memory_tools",
    "user_of",
    "web_search",
]

__getattr__ = lazily(__name__)
