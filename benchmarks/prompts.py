"""Measure how much longer prompts are than the words they must hold: task, context, request and instructions.

    python benchmarks/prompts.py

Each row is one kind of call: the characters of its messages, the bare words among them, and their ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from agents import Agent
from agents.testing import Call, Reply, ScriptedModel
from graphs import Network, Step, Supervisor, Workflow

REQUEST = (
    "Our club has 84 members and wants a weekend trip in May. Compare Lisbon, Ljubljana and Gdansk by travel time "
    "from Vienna, cost per person for two nights, and what there is to do in the rain. Recommend one of them in a "
    "letter to the members of at most 200 words, and say what a member has to decide by the end of the month."
)
RESULT = (
    "Lisbon: 4 hours of flight, about 310 euros for two nights with breakfast. On rainy days: the tile museum, the "
    "aquarium, the market hall at the river. The trams are crowded at weekends, and half of the group would have to "
    "stand. In May it rains on six days. The cheapest fares are gone by March: the club must book early."
)
INSTRUCTIONS = "You are careful and brief. Use only facts that you were given, and name what is missing."


def length(texts: Sequence[str]) -> int:
    """Return the characters of some texts."""
    return sum(map(len, texts))


class Row(NamedTuple):
    """One kind of call: the characters of its messages, and the bare words among them."""

    name: str
    written: int
    bare: int

    @property
    def ratio(self) -> float:
        """How much longer the prompt is than its bare words."""
        return self.written / self.bare


def row(name: str, call: Call, bare: Sequence[str]) -> Row:
    """Measure a call."""
    return Row(name, length([str(message.text) for message in call.messages]), length(bare))


def workflow() -> list[Row]:
    """Measure a step that builds on two results."""
    model = ScriptedModel(lambda messages: RESULT)
    agent = Agent("writer", instructions=INSTRUCTIONS, model=model)
    steps = [Step("a", "writer", "Find out about Lisbon."), Step("b", "writer", "Find out about Gdansk.")]
    last = "Write the letter from {a} and {b}."
    Workflow([*steps, Step("c", "writer", last, ["a", "b"])], agents=[agent]).compile().invoke({"messages": REQUEST})
    return [
        row("workflow: first step", model.calls[0], [INSTRUCTIONS, REQUEST, steps[0].task]),
        row("workflow: step with two results", model.calls[-1], [INSTRUCTIONS, REQUEST, RESULT, last]),
    ]


def supervisor() -> list[Row]:
    """Measure work, its review, and its revision."""
    feedback = "Say what has to be decided by the end of the month, and leave out the trams."
    verdicts = iter([(False, feedback), (True, "")])

    def judge(messages: Any) -> Any:
        met, wrong = next(verdicts)
        found = {"evidence": "It says so." if met else "The decision is missing.", "met": met}
        return {"criteria": {"criterion_1": found, "criterion_2": found}, "feedback": wrong}

    writes, judges = ScriptedModel([RESULT, RESULT + " Decide by the 31st."]), ScriptedModel(judge)
    worker = Agent("writer", instructions=INSTRUCTIONS, model=writes)
    graph = Supervisor(worker, reviewer=Agent("critic", instructions=INSTRUCTIONS, model=judges)).compile()
    graph.invoke({"messages": REQUEST})
    return [
        row("supervisor: work", writes.calls[0], [INSTRUCTIONS, REQUEST]),
        row("supervisor: review", judges.calls[0], [INSTRUCTIONS, REQUEST, RESULT]),
        row("supervisor: revision", writes.calls[1], [INSTRUCTIONS, REQUEST, RESULT, feedback]),
    ]


def network() -> list[Row]:
    """Measure the last of ten handoffs, and the last turn of a round-robin."""
    names = [f"peer_{number}" for number in range(11)]
    task, reason = "Go on with the comparison and hand over.", "The next one knows the prices."
    replies: list[Any] = [
        Reply(RESULT, tool_calls=[{"name": f"handoff_to_{name}", "args": {"task": f"{task} {name}", "reason": reason}}])
        for name in names[1:]
    ]
    model = ScriptedModel([*replies, "Done."])
    peers = [Agent(name, instructions=INSTRUCTIONS, model=model) for name in names]
    Network(peers, max_handoffs=12).compile().invoke({"messages": REQUEST})
    rows = [
        row("network: after one handoff", model.calls[1], [INSTRUCTIONS, REQUEST, RESULT, task, reason]),
        row("network: after ten handoffs", model.calls[10], [INSTRUCTIONS, REQUEST, *[RESULT, reason] * 10, task]),
    ]
    model = ScriptedModel([RESULT, RESULT + "!", RESULT + "?", "Done."])
    peers = [Agent(name, instructions=INSTRUCTIONS, model=model) for name in names[:4]]
    Network(peers, turns="round_robin", max_turns=4).compile().invoke({"messages": REQUEST})
    return [*rows, row("network: fourth turn", model.calls[3], [INSTRUCTIONS, REQUEST, *[RESULT] * 3])]


def measured() -> list[Row]:
    """Return all rows."""
    return [*workflow(), *supervisor(), *network()]


def main() -> None:
    """Print all rows."""
    print(f"{'call':<34}{'written':>8}{'bare':>8}{'ratio':>8}")
    for name, written, bare in measured():
        print(f"{name:<34}{written:>8}{bare:>8}{written / bare:>8.2f}")


if __name__ == "__main__":
    main()
