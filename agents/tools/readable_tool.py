"""How Podium's tools are made: whatever goes wrong comes back as text that says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import ValidationError
from pydantic.v1 import ValidationError as OldValidationError


def explain_arguments(error: ValidationError | OldValidationError) -> str:
    """Tell a model which arguments of its tool call do not fit."""
    found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return f"The tool was called with wrong arguments. {found}."


def readable_tool(function: Callable[..., str], **settings: Any) -> BaseTool:
    """Make a tool whose errors are readable text; its description is the function's docstring."""
    return StructuredTool.from_function(
        function, handle_tool_error=True, handle_validation_error=explain_arguments, **settings
    )
