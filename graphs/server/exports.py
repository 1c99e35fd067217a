"""The graphs that langgraph.json exports: built with the default team, without a checkpointer and without a key."""

from agents import team
from graphs.engine import Step
from graphs.network import Network
from graphs.orchestrator import Orchestrator
from graphs.planner import Planner
from graphs.router import Router
from graphs.supervisor import Supervisor
from graphs.workflow import Workflow

_team = team()
_named = {agent.name: agent for agent in _team}

planner = Planner(_team).compile()
router = Router(_team, fallback=_named["writer"]).compile()
workflow = Workflow(
    [
        Step("facts", "researcher", "Find the facts that are needed for: {request}"),
        Step("figures", "analyst", "Work out the figures that are needed for: {request}"),
        Step("draft", "writer", "Answer {request} from {facts} and {figures}", ["facts", "figures"]),
        Step("faults", "critic", "List the faults of {draft}", ["draft"]),
        Step("final", "writer", "Write {draft} again without {faults}", ["draft", "faults"]),
    ],
    agents=_team,
).compile()
supervisor = Supervisor(_named["writer"], reviewer=_named["critic"]).compile()
network = Network(_team, start="writer").compile()
orchestrator = Orchestrator(_team).compile()
