"""Chat models and a provider for tests, without a network: scripted, recorded, and as faulty as real ones.

ScriptedModel(["first reply", Reply(delay=2), TimeoutError("boom"), {"steps": []}])   in the order of the calls
ScriptedModel(lambda messages: messages[-1].text.upper())                             computed from the messages
ScriptedModel({"Review": {"acceptable": True}, "^Write": "A haiku"}, default="Hm.")   by what the prompt says
RecordedModel("tests/haiku.yaml", "openai:gpt-5-mini")                                recorded once, then replayed
FaultyProvider([Fault.of(429, retry_after="1"), "Hello"])                             over HTTP, failing as real ones do

scripted, recorded, faults: these three; replies: calls and replies; conversation: the file of a recording
"""

from agents.testing.faults import LASTING_FAULTS, TRANSIENT_FAULTS, Fault, FaultyProvider
from agents.testing.recorded import RecordedModel, RecordingError
from agents.testing.replies import Call, Reply
from agents.testing.scripted import ScriptedModel, ScriptError

__all__ = [
    "LASTING_FAULTS",
    "TRANSIENT_FAULTS",
    "Call",
    "Fault",
    "FaultyProvider",
    "RecordedModel",
    "RecordingError",
    "Reply",
    "ScriptError",
    "ScriptedModel",
]
