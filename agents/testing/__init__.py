"""Chat models for tests, without a network: one follows a script, one replays a conversation that it recorded.

ScriptedModel(["first reply", Reply(delay=2), TimeoutError("boom"), {"steps": []}])   in the order of the calls
ScriptedModel(lambda messages: messages[-1].text.upper())                             computed from the messages
ScriptedModel({"Review": {"acceptable": True}, "^Write": "A haiku"}, default="Hm.")   by what the prompt says
RecordedModel("tests/haiku.yaml", "openai:gpt-5-mini")                                recorded once, then replayed
"""

from agents.testing.recorded import RecordedModel, RecordingError
from agents.testing.replies import Call, Reply
from agents.testing.scripted import ScriptedModel, ScriptError

__all__ = ["Call", "RecordedModel", "RecordingError", "Reply", "ScriptError", "ScriptedModel"]
