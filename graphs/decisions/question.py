"""The request as one message, for a model that decides about it instead of answering it."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from agents.assignment import Assignment, cut_history, files_of, quote, quote_conversation, task_for_model
from agents.settings import max_history_tokens


def question_of(assignment: Assignment) -> HumanMessage:
    """Return the task, below quotations of the conversation and context, with the request's pictures and files.

    Earlier answers of agents are not words of the deciding model, so they are data here.
    """
    task = assignment["task"]
    request = assignment.get("request") or HumanMessage("")
    limit = max_history_tokens()
    parts = [quote_conversation(cut_history(assignment.get("conversation", ()), limit))]
    parts += [quote(label, text) for label, text in assignment.get("context", {}).items()]
    if request.text.strip() and request.text.strip() != task.strip():
        parts.append(quote("The user's request", str(request.text)))
        task = task_for_model(assignment)
    above = "\n\n".join(filter(None, parts))
    text = f"{above}\n\nThe last message:\n{task}" if above else task
    files = files_of(request)
    return HumanMessage([{"type": "text", "text": text}, *files] if files else text)
