"""Drawings of the patterns, as LangGraph Studio shows them: a Mermaid snapshot of each in tests/drawings."""

import os
from pathlib import Path

from agents import Agent
from agents.testing import ScriptedModel
from graphs import Network, Orchestrator, Planner, Router, Step, Supervisor, Workflow
from tests.plain_graphs import own_graph
from tests.tables import each

DRAWINGS = Path(__file__).parent / "drawings"
ANN, BOB = (Agent(name, function=str.upper) for name in ("ann", "bob"))

STEPS = [
    Step("triage", "ann", "Sort {request}"),
    Step("list", "ann", "List what is to do"),
    Step("fix", "bob", "Fix {triage}", ["triage"], when={"step": "triage", "equals": "bug"}),
    Step("each-one", "bob", "Do {item}", ["list"], for_each="list"),
    Step("report.final", "ann", "Report", ["fix", "each-one"], join="any"),
]
PATTERNS = {
    "planner": Planner([ANN, BOB], model=ScriptedModel()),
    "workflow": Workflow(STEPS, agents=[ANN, BOB]),
    "workflow_without_steps": Workflow(agents=[ANN, BOB]),
    "router": Router([ANN, BOB], fallback=ANN, model=ScriptedModel()),
    "supervisor": Supervisor(ANN, reviewer=BOB, escalate=Agent("boss", function=str.title)),
    "network": Network([ANN, BOB], links={"ann": ["bob"]}),
    "orchestrator": Orchestrator([ANN, BOB], model=ScriptedModel()),
    "orchestrator_alone": Orchestrator([ANN, BOB], model=ScriptedModel(), baseline=True),
}


def check(name: str, mermaid: str) -> None:
    """Compare a drawing with its snapshot; with DRAW=1 in the environment, write the snapshot."""
    path = DRAWINGS / f"{name}.mmd"
    if os.environ.get("DRAW"):
        path.write_text(mermaid)
    assert mermaid == path.read_text()


@each("name", PATTERNS)
def test_states(name: str) -> None:
    check(name, PATTERNS[name].compile().get_graph().draw_mermaid())


@each("name", PATTERNS)
def test_states_with_what_is_in_them(name: str) -> None:
    check(f"{name}_xray", PATTERNS[name].compile().get_graph(xray=True).draw_mermaid())


def test_patterns_in_patterns_are_drawn_with_all_their_agents() -> None:
    careful = Supervisor(ANN, reviewer=BOB).as_agent("careful")
    planned = Planner([careful, BOB], model=ScriptedModel()).as_agent("planned")
    desk = Router([planned, careful], fallback=Network([ANN, BOB]).as_agent("talk"), model=ScriptedModel()).compile()
    drawn = desk.get_graph(xray=True)
    assert {"planned:execute:careful_2:work", "planned:execute:bob", "careful:work", "fallback:bob"} <= set(drawn.nodes)
    assert all(edge.source in drawn.nodes and edge.target in drawn.nodes for edge in drawn.edges)
    mermaid = drawn.draw_mermaid(with_styles=False).replace("\\3a", ":")
    assert all(f"{edge.source} -" in mermaid for edge in drawn.edges)


def test_each_level_is_drawn_once_however_deep() -> None:
    agent = ANN
    for level in range(24):  # drawn twice in each other, the innermost would be drawn 16 million times
        agent = Workflow([Step("do", agent.name, "{request}")], agents=[agent]).as_agent(f"level_{level}")
    drawn = Workflow([Step("do", agent.name, "{request}")], agents=[agent]).compile().get_graph(xray=True)
    assert "ann" in {node.metadata["agent"] for node in drawn.nodes.values() if node.metadata}


def test_a_number_of_levels_can_be_drawn() -> None:
    orchestrator = Orchestrator([ANN, BOB], model=ScriptedModel(), review_steps=True).compile()
    one, two, three = (set(orchestrator.get_graph(xray=level).nodes) for level in (1, 2, 3))
    assert {"agent:ann", "plan"} <= one
    assert {"plan:plan", "plan:execute:ann"} <= two
    assert "plan:execute:ann:work" in three
    assert three == set(orchestrator.get_graph(xray=True).nodes)


def test_only_graphs_are_looked_into() -> None:
    graph = own_graph(("think", lambda state: {}))
    drawn = Router([Agent("bot", runnable=graph), ANN], model=ScriptedModel()).compile().get_graph(xray=True)
    assert {"bot:think", "ann"} <= set(drawn.nodes)


def test_a_workflow_in_a_users_graph_is_drawn_with_its_steps() -> None:
    outer = own_graph(("flow", PATTERNS["workflow"].compile()))
    check("workflow_in_a_graph_xray", outer.get_graph(xray=True).draw_mermaid())


def test_a_kept_config_does_not_change_the_drawing() -> None:
    check("workflow_xray", PATTERNS["workflow"].compile().with_config(tags=["x"]).get_graph(xray=True).draw_mermaid())
