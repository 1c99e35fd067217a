"""Long-term memory: tools by which a chat model remembers and recalls facts about a user, across threads."""

import uuid
from urllib.parse import quote

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.store.base import BaseStore

from agents.errors import ConfigurationError
from agents.runtime import clean
from agents.settings import context_of_run

MAX_RECALLED = 20
"""Facts that are recalled at once: the nearest of a store with an index, else the newest."""

_MAX_READ = 200
"""Facts that are looked at; a store without an index returns them in any order."""

NO_USER = (
    'An agent with memory needs to know whose it is: pass a user id with the run, context={"user_id": …} or'
    ' config={"configurable": {"user_id": …}}'
)


def memory_tools(store: BaseStore) -> list[BaseTool]:
    """Return the tools `remember` and `recall` on a store; each user has a namespace of their own."""

    def remember(fact: str, config: RunnableConfig) -> str:
        """Keep one fact about the user for later conversations, in a full sentence."""
        key = uuid.uuid5(uuid.NAMESPACE_OID, fact)  # the same fact twice is one entry
        store.put(_namespace(config), str(key), {"text": clean(fact)})  # Postgres takes no NUL
        return "Remembered."

    def recall(query: str, config: RunnableConfig) -> str:
        """Look up what earlier conversations with the user have left as facts."""
        items = store.search(_namespace(config), query=query, limit=_MAX_READ)
        if all(item.score is None for item in items):
            items.sort(key=lambda item: item.updated_at, reverse=True)
        return "\n".join(f"- {item.value['text']}" for item in items[:MAX_RECALLED]) or "Nothing is remembered."

    # Async runs call them in threads, where stores of both kinds work.
    return [StructuredTool.from_function(remember), StructuredTool.from_function(recall)]


def user_of(config: RunnableConfig) -> str | None:
    """Return the user of a run: whom the server has authenticated, else the `user_id` of context or config."""
    configurable = config.get("configurable", {})
    context: object = context_of_run()
    own = context.get("user_id") if isinstance(context, dict) else getattr(context, "user_id", None)
    user = configurable.get("langgraph_auth_user_id") or own or configurable.get("user_id")
    return str(user) if user else None


def _namespace(config: RunnableConfig) -> tuple[str, ...]:
    user = user_of(config)
    if user is None:
        raise ConfigurationError(NO_USER)
    return ("memories", quote(user).replace(".", "%2E"))  # LangGraph's namespaces have no periods
