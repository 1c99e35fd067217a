"""The three kinds of worker behind an `Agent`: a chat model, a function, a graph.

chat_model   instructions, tools and a form for the reply; with tools in one of three ways:
             middleware (LangChain's loop), tool_calls (each ends the turn), tool_choice (the model cannot call any)
tool_calls   the call of a tool, for all three; lines: calculations that a model writes as lines of text
function     a plain or async function
graph        a nested pattern, a user's own graph or chain, a graph on a server

Each kind has `await job(effects, assignment, config)`: the Runnable that does the work in this run, and its input.
"""

from agents.workers.chat_model import MAX_TURNS, ChatModelWorker
from agents.workers.function import FunctionWorker
from agents.workers.graph import GraphWorker, newly_written, written
from agents.workers.tool_calls import Toolset, safe_name

__all__ = [
    "MAX_TURNS",
    "ChatModelWorker",
    "FunctionWorker",
    "GraphWorker",
    "Toolset",
    "newly_written",
    "safe_name",
    "written",
]
