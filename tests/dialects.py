"""A provider on loopback that speaks the dialect it is asked in: OpenAI's two, Anthropic's, Ollama's."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from agents.testing import Call, Reply
from agents.testing.scripted import Script, as_reply
from tests.loopback import Handler, Loopback
from tests.waiting import PATIENCE

Json = dict[str, Any]


class Dialects(Loopback):
    """Answers `POST` in the dialect of its path from a script as `ScriptedModel` takes; JSON replies are texts."""

    daemon_threads = False

    def __init__(self, script: Any, **options: Any) -> None:
        super().__init__(_Handler)
        self.script = Script(script, **{"repeat": False, "default": None, **options})
        self.requests: list[Json] = []

    def model(self, dialect: str) -> BaseChatModel:
        """Return a chat model of LangChain's package for a dialect."""
        if dialect == "anthropic":
            from langchain_anthropic import ChatAnthropic

            fields: Any = {"model_name": "m", "base_url": self.url, "api_key": "test", "max_retries": 0}
            return ChatAnthropic(**fields)
        if dialect == "ollama":
            from langchain_ollama import ChatOllama

            return ChatOllama(model="m", base_url=self.url)
        from agents.models import openai_chat

        return openai_chat("m", base_url=f"{self.url}/v1", api_key="test", use_responses_api=dialect == "responses")

    def reply_to(self, request: Json) -> Reply:
        self.requests.append(request)
        reply = as_reply(self.script.next(Call([HumanMessage(json.dumps(request, ensure_ascii=False))], {})))
        return reply if reply.data is None else Reply(json.dumps(reply.data))


class _Handler(Handler):
    server: Dialects
    timeout = PATIENCE

    def serve(self, body: bytes) -> None:
        request = json.loads(body)
        reply = self.server.reply_to(request)
        events, whole = DIALECTS[self.path.split("?")[0]](reply)
        is_ollama = self.path == "/api/chat"
        if is_ollama:
            self._send("application/x-ndjson", "".join(f"{json.dumps(event)}\n" for event in events))
        elif request.get("stream"):
            lines = (f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n" for event in events)
            self._send("text/event-stream", "".join(lines) + "data: [DONE]\n\n" * self.path.startswith("/v1/chat"))
        else:
            self._send("application/json", json.dumps(whole))

    def _send(self, kind: str, body: str) -> None:
        self.answer(body.encode(), {"Content-Type": kind})


def words(text: str) -> Iterator[str]:
    yield from re.findall(r"\s*\S+", text)


def calls(reply: Reply) -> Iterator[tuple[int, str, str, Json]]:
    """Yield number, id, name and arguments of each tool call."""
    for number, call in enumerate(reply.tool_calls):
        yield number, f"call_{number}", call["name"], call["args"]


def chat_completions(reply: Reply) -> tuple[list[Json], Json]:
    base = {"id": "c", "created": 0, "model": "m"}
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    made = [
        {"index": number, "id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
        for number, id_, name, args in calls(reply)
    ]
    end = "tool_calls" if made else "stop"
    deltas: list[Json] = [{"role": "assistant", "content": word} for word in words(reply.text)]
    deltas += [{"tool_calls": made}] if made else []
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": end}]}, {"choices": [], "usage": usage}]
    message = {"role": "assistant", "content": reply.text or None, **({"tool_calls": made} if made else {})}
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": end}]}
    return [{**base, "object": "chat.completion.chunk", **chunk} for chunk in chunks], {**base, **whole, "usage": usage}


def responses(reply: Reply) -> tuple[list[Json], Json]:
    unique = uuid4().hex
    part = {"type": "output_text", "text": reply.text, "annotations": []}
    message = {"type": "message", "id": f"msg_{unique}", "status": "completed", "role": "assistant", "content": [part]}
    items: list[Json] = [message] if reply.text else []
    items += [
        {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name, "arguments": json.dumps(args)}
        for _, id_, name, args in calls(reply)
    ]
    usage = {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # type: ignore[dict-item]
    whole = {
        "id": f"resp_{unique}",
        "object": "response",
        "created_at": 0,
        "model": "m",
        "status": "completed",
        "output": items,
    }
    whole |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": usage}
    events: list[Json] = [{"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}]
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item["id"]}
        empty = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
        events.append({"type": "response.output_item.added", **place, "item": empty})
        if item["type"] == "message":
            place["content_index"] = 0
            events.append({"type": "response.content_part.added", **place, "part": {**part, "text": ""}})
            deltas = words(reply.text)
            events += [
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in deltas
            ]
            events.append({"type": "response.output_text.done", **place, "text": reply.text, "logprobs": []})
        else:
            delta = item["arguments"]
            events.append({"type": "response.function_call_arguments.delta", **place, "delta": delta})
        events.append({"type": "response.output_item.done", **place, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)], whole


def anthropic(reply: Reply) -> tuple[list[Json], Json]:
    blocks: list[Json] = [{"type": "text", "text": reply.text}] if reply.text else []
    blocks += [{"type": "tool_use", "id": id_, "name": name, "input": args} for _, id_, name, args in calls(reply)]
    stop = "tool_use" if reply.tool_calls else "end_turn"
    whole = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": blocks, "stop_reason": stop}
    whole |= {"stop_sequence": None, "usage": {"input_tokens": 2, "output_tokens": 3}}
    events: list[Json] = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
    for index, block in enumerate(blocks):
        is_text = block["type"] == "text"
        empty = {**block, "text": ""} if is_text else {**block, "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        deltas: list[Json] = [{"type": "text_delta", "text": word} for word in words(block.get("text", ""))]
        deltas = deltas if is_text else [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": stop, "stop_sequence": None}
    events += [{"type": "message_delta", "delta": end, "usage": {"output_tokens": 3}}, {"type": "message_stop"}]
    return events, whole


def ollama(reply: Reply) -> tuple[list[Json], Json]:
    base = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
    made = [{"function": {"name": name, "arguments": args}} for _, _, name, args in calls(reply)]
    pieces: list[Json] = [{"content": word} for word in words(reply.text)]
    pieces += [{"content": "", "tool_calls": made}] if made else []
    events = [{**base, "message": {"role": "assistant", **piece}, "done": False} for piece in pieces]
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 2, "eval_count": 3}
    return [*events, {**base, "message": {"role": "assistant", "content": ""}, **end}], {}


DIALECTS: dict[str, Callable[[Reply], tuple[list[Json], Json]]] = {
    "/v1/chat/completions": chat_completions,
    "/v1/responses": responses,
    "/v1/messages": anthropic,
    "/api/chat": ollama,
}
