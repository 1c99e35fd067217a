"""The three kinds of worker behind an `Agent`: a chat model, a function, a graph.

chat_model   instructions, tools and a form for the reply
function     a plain or async function
graph        a nested pattern, a user's own graph or chain, a graph on a server

Each has `await runnable(effects)`, the Runnable that does the work in this run, and `input(assignment)`, the input of
that Runnable; they are called in this order.
"""

from agents.workers.chat_model import Role
from agents.workers.function import FunctionWorker, call, current, is_async
from agents.workers.graph import GraphWorker, new_messages

__all__ = ["FunctionWorker", "GraphWorker", "Role", "call", "current", "is_async", "new_messages"]
