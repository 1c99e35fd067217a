"""Tools whose errors come back as text for the model, which says what to do instead."""

from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import ValidationError
from pydantic.v1 import ValidationError as OldValidationError

_schemas: dict[object, Any] = {}
"""The arguments of each method: the same for every object, and 10 ms to make."""


def explain_arguments(error: ValidationError | OldValidationError) -> str:
    """Write for a model which arguments of its tool call do not fit."""
    reasons = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return f"The tool was called with wrong arguments. {reasons}."


def readable_tool(
    function: Callable[..., str], example: str = "", *, kind: type[StructuredTool] = StructuredTool, **about: Any
) -> BaseTool:
    """Build a tool of a function; its description is the function's docstring, `example` a task for it.

    `name` and `coroutine` are the tool's; all else is metadata, which models without tool calls need.
    """
    own = {key: about.pop(key) for key in ("name", "coroutine") if key in about}
    metadata = {"example_task": example, **about} if example else about
    errors: Any = {"handle_tool_error": True, "handle_validation_error": explain_arguments}
    method = getattr(function, "__func__", None)
    tool = kind.from_function(function, metadata=metadata, args_schema=_schemas.get(method), **errors, **own)
    if method:
        _schemas[method] = tool.args_schema
    return tool
