"""What spans say: names of OpenTelemetry's semantic conventions for generative AI, and Podium's own for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from agents.runtime import COUNTS as COUNTED
from agents.runtime import model_called
from agents.tracing import PATTERN as PATTERN_MARK

__all__ = ["COUNTED", "PATTERN_MARK"]

OPERATION = "gen_ai.operation.name"
THREAD = "gen_ai.conversation.id"
AGENT = "gen_ai.agent.name"
WORKFLOW = "gen_ai.workflow.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
TEMPERATURE = "gen_ai.request.temperature"
MAX_TOKENS = "gen_ai.request.max_tokens"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL = "gen_ai.tool.name"
TOOL_CALL = "gen_ai.tool.call.id"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
ERROR = "error.type"

KIND = "podium.kind"
RUN_ID = "podium.run.id"
PATTERN = "podium.pattern"
NODE = "podium.node"
STATUS = "podium.status"
STEP = "podium.step.id"
STEP_AGENT = "podium.step.agent"
STEP_DEPENDENCIES = "podium.step.dependencies"
STEP_ATTEMPTS = "podium.step.attempts"
ANSWERED_BY = "podium.step.answered_by"
ATTEMPT = "podium.attempt"
ERROR_KIND = "podium.error.kind"
INTERRUPTED = "podium.interrupted"
SPENT = "podium.usage"


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what has no value."""
    return {name: value for name, value in attributes.items() if value not in (None, "")}


def agent(name: str) -> dict[str, Any]:
    """Tell of an agent."""
    return {OPERATION: "invoke_agent", AGENT: name}


def workflow(name: str, mark: str) -> dict[str, Any]:
    """Tell of a pattern."""
    return {OPERATION: "invoke_workflow", WORKFLOW: name, PATTERN: mark.partition("#")[0]}


def step(name: str, inputs: Any) -> dict[str, Any]:
    """Tell of a step what was shown when it was called: who does it, and what it waits for."""
    shown = inputs.get("shown") if isinstance(inputs, dict) else None
    about = shown if isinstance(shown, dict) else {}
    return {STEP: name, STEP_AGENT: about.get("agent"), STEP_DEPENDENCIES: about.get("dependencies")}


def tool(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Tell of a tool call."""
    return {OPERATION: "execute_tool", TOOL: name, TOOL_CALL: about.get("tool_call_id")}


def request(about: Mapping[str, Any]) -> dict[str, Any]:
    """Tell of a model call what is asked of whom."""
    metadata = about.get("metadata") or {}
    return {
        OPERATION: "chat",
        PROVIDER: metadata.get("ls_provider"),
        REQUEST_MODEL: model_called(about),
        TEMPERATURE: metadata.get("ls_temperature"),
        MAX_TOKENS: metadata.get("ls_max_tokens"),
    }


def reply(response: LLMResult) -> dict[str, Any]:
    """Tell of a model call how it ended, and the tokens that the provider reported."""
    generation = response.generations[0][0] if response.generations and response.generations[0] else None
    message = generation.message if isinstance(generation, ChatGeneration) else None
    about = {**((generation and generation.generation_info) or {}), **getattr(message, "response_metadata", {})}
    tokens: Mapping[str, Any] = getattr(message, "usage_metadata", None) or {}
    read, written = tokens.get("input_token_details") or {}, tokens.get("output_token_details") or {}
    reason = about.get("finish_reason") or about.get("stop_reason")
    return known(
        {
            RESPONSE_MODEL: about.get("model_name"),
            RESPONSE_ID: about.get("id"),
            FINISH_REASONS: [str(reason)] if reason else None,
            INPUT_TOKENS: tokens.get("input_tokens"),
            OUTPUT_TOKENS: tokens.get("output_tokens"),
            CACHED_TOKENS: read.get("cache_read"),
            REASONING_TOKENS: written.get("reasoning"),
        }
    )


def outcome(kind: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Tell how a pattern or a step says that it ended."""
    about = {STATUS: outputs.get("status")}
    if kind == "step":
        about |= {STEP_ATTEMPTS: outputs.get("attempts"), ANSWERED_BY: outputs.get("answered_by")}
    return known({name: value for name, value in about.items() if isinstance(value, str | int)})


def failure(outputs: Mapping[str, Any]) -> str:
    """Return the kind of error by which a pattern or a step failed, if it did."""
    if outputs.get("status") != "failed":
        return ""
    problems = outputs.get("problems") or outputs.get("errors") or [{}]
    return str(problems[-1].get("kind") or "failed")


def prompts(messages: Sequence[BaseMessage]) -> dict[str, str]:
    """Return a prompt in OpenTelemetry's form."""
    return {INPUT_MESSAGES: _json([_message(one) for one in messages])}


def replies(response: LLMResult) -> dict[str, str]:
    """Return a model's reply in OpenTelemetry's form."""
    generations = [one for listed in response.generations for one in listed]
    messages = [one.message if isinstance(one, ChatGeneration) else AIMessage(one.text) for one in generations]
    return {OUTPUT_MESSAGES: _json([_message(one) for one in messages])}


_ROLES = {"human": "user", "ai": "assistant"}


def _message(message: BaseMessage) -> dict[str, Any]:
    role = _ROLES.get(message.type, message.type)
    if isinstance(message, ToolMessage):
        result = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return {"role": role, "parts": [result]}
    parts: list[dict[str, Any]] = [{"type": "text", "content": message.text}] if message.text else []
    if isinstance(message, AIMessage):
        parts += [
            {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
            for call in message.tool_calls
        ]
    return {"role": role, "parts": parts}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
