"""The graphs that LangGraph Studio and its server use, and who may use the server."""

__all__: list[str] = []
