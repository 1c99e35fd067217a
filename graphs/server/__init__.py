"""The graphs that LangGraph Studio and its server use, and who may use the server."""
