"""How well the local model plans, chooses tools and calculates, on fixed tasks with known good outcomes.

    python benchmarks/local_model.py [plans] [tools] [sums] [--details]

Needs the local model (`podium model pull`). Every task is done once, at temperature 0, two at a time; about five
minutes on two cores. The samples are small: a difference of one or two tasks means little.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from openai import OpenAIError

from agents import team
from agents.models.local import local_model
from agents.models.local.server import SLOTS
from agents.workers.tool_choice import Choose, tool_choice_graph
from graphs import Planner
from graphs.engine import findings

Outcome = dict[str, float]
"""By measure, 1 for right and 0 for wrong, or a share."""


class Plan(NamedTuple):
    """A request, and what a good plan for it has."""

    request: str
    agents: Sequence[str]
    """Agents that must have a step; `a|b` is either."""
    order: Sequence[tuple[str, str]] = ()
    """Pairs: some step of the second agent must build on one of the first."""
    parallel: bool = False
    """Whether two steps should run at the same time."""


PLAN_MEASURES = ("sound", "right agents", "order", "parallel", "critic not last", "figures kept")
PLANS = [
    Plan(
        "Compare a heat pump and a gas boiler for an old house, and recommend one in a short paragraph.",
        ["researcher|analyst", "writer|analyst"],
        parallel=True,
    ),
    Plan(
        "A van uses 8.5 litres per 100 km, diesel costs 1.62 euros a litre, and we drive 740 km. Work out the fuel cost"
        " and write a two-sentence note to my boss about it.",
        ["analyst", "writer"],
        [("analyst", "writer")],
    ),
    Plan(
        "Write a friendly invitation to our garden party on 12 June at 17:00, and have it checked for mistakes.",
        ["writer", "critic"],
        [("writer", "critic")],
    ),
    Plan(
        "Read rent.txt and hours.txt, then work out what each of our 4 members pays per hour.",
        ["researcher", "analyst"],
        [("researcher", "analyst")],
        parallel=True,
    ),
    Plan(
        "Write a Python function that removes duplicates from a list, and review it for errors.",
        ["coder", "critic"],
        [("coder", "critic")],
    ),
    Plan(
        "What does https://example.com/terms say about cancelling, and what does https://example.org/terms say? Sum up"
        " the difference.",
        ["researcher", "writer|analyst"],
        parallel=True,
    ),
    Plan("Translate 'We are closed on Monday' into French and into Spanish.", ["writer"]),
    Plan(
        "Write a binary search in Go, and write a short text for beginners about what a binary search is.",
        ["coder", "writer"],
        parallel=True,
    ),
    Plan(
        "What does the trip cost each of the 3 of us: train 64 euros each, one hotel room at 95 euros a night for 2"
        " nights, food 30 euros a day each for 3 days? Put it in a short e-mail.",
        ["analyst", "writer"],
        [("analyst", "writer")],
    ),
    Plan(
        "Find the faults of this sentence, then write a better one: 'Our product is very good and nice and helps people"
        " doing things.'",
        ["critic", "writer"],
        [("critic", "writer")],
    ),
]

FILES = {
    "contract.txt": "The notice period is 6 weeks.\n",
    "expenses.txt": "Paper 12.40\nInk 30.10\n",
    "calendar.txt": "3 May dentist\n4 May museum\n",
    "main.py": "print(sum(range(10)))\n",
}
TOOLS = [
    ("researcher", "What is the difference between solar panels and solar collectors?", "none"),
    ("researcher", "Explain why leaves turn yellow in autumn.", "none"),
    ("researcher", "What does https://example.org/opening-hours say about Sundays?", "fetch_page"),
    ("researcher", "Read contract.txt and say how long the notice period is.", "read_file"),
    ("researcher", "Which of my files mention the dentist?", "search_files"),
    ("researcher", "Which files do I have?", "list_files"),
    ("analyst", "How much do 7 tickets at 23.50 cost?", "calculator"),
    ("analyst", "Which is better for a beginner, a guitar or a piano?", "none"),
    ("analyst", "What are the amounts in expenses.txt?", "read_file"),
    ("analyst", "What is 18% of 2,350?", "calculator"),
    ("coder", "Write a Python function that reverses a string.", "none"),
    ("coder", "Explain what main.py does.", "read_file"),
]

SUMS = [
    ("A van uses 8.5 litres per 100 km and diesel costs 1.62 a litre. What does the fuel for 740 km cost?", 101.898),
    ("A flat of 68 square metres costs 14.20 per square metre a month. What is the rent for a year?", 11587.2),
    ("A debt of 5000 grows by 4% a year, with compound interest. How much is owed after 3 years?", 5624.32),
    ("Four friends share a bill of 186.40 and add a tip of 10%. How much does each of them pay?", 51.26),
    (
        "A printer costs 240 and 0.04 a page, another costs 120 and 0.09 a page. From how many pages are they even?",
        2400,
    ),
    ("A team of 6 works 7.5 hours a day for 18 days, at 42 an hour for each person. What does the work cost?", 34020),
]


def numbers(text: str) -> set[float]:
    return {float(item) for item in re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d),(?=\d{3})", "", text))}


def ancestors(steps: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    """Return by id all the steps that a step builds on, directly or not."""
    above = {step["id"]: set(step["dependencies"]) for step in steps}
    for _ in steps:
        above = {key: known | {far for near in known for far in above.get(near, ())} for key, known in above.items()}
    return above


def judge_plan(plan: Plan, steps: Sequence[dict[str, Any]], names: Sequence[str]) -> Outcome:
    agent = {step["id"]: step["agent"] for step in steps}
    above = ancestors(steps)
    used = set(agent.values())
    pairs = {(agent[far], agent[key]) for key, known in above.items() for far in known if far in agent}
    together = any(a not in above[b] and b not in above[a] for a, b in combinations(above, 2))
    last = {agent[item] for item in agent if not any(item in known for known in above.values())}
    wanted = numbers(plan.request)
    told = numbers(" ".join(step["task"] for step in steps))
    judged = (
        not findings(steps, names),
        all(used & set(agent.split("|")) for agent in plan.agents),
        all(item in pairs for item in plan.order),
        together or not plan.parallel,
        last != {"critic"} or used == {"critic"},
        len(wanted & told) / len(wanted) if wanted else 1,
    )
    return dict(zip(PLAN_MEASURES, map(float, judged), strict=True))


def bench_plans(details: bool) -> list[Outcome]:
    agents = team()
    planner = Planner(agents, model=local_model())

    def one(plan: Plan) -> Outcome:
        try:
            decided = planner.decide.invoke([SystemMessage(planner.system), HumanMessage(plan.request)])
        except OpenAIError as error:  # it wrote and wrote until it was cut off
            return show(details, plan.request, type(error).__name__, dict.fromkeys(PLAN_MEASURES, 0.0))
        steps = decided["value"]["steps"]
        shown = [f"{step['id']} {step['agent']} {step['dependencies']}: {step['task']}" for step in steps]
        return show(details, plan.request, "\n      ".join(shown), judge_plan(plan, steps, [a.name for a in agents]))

    return at_once(one, PLANS)


def bench_tools(details: bool) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            Path(folder, name).write_text(text)
        agents = {agent.name: agent for agent in team(folder=folder)}

        def one(case: tuple[str, str, str]) -> Outcome:
            name, task, wanted = case
            choose = Choose(local_model(), agents[name].tools, agents[name].instructions)
            said = choose.invoke({"messages": [HumanMessage(task)]})["messages"]
            tool, arguments = call_in(said)
            right = {"right tool": tool == wanted}
            if wanted == "read_file":
                right["right file"] = tool == wanted and said[-1].status == "success"
            return show(details, f"{name}: {task}", f"{tool} {arguments}", right)

        return at_once(one, TOOLS)


def bench_sums(details: bool) -> list[Outcome]:
    agent = next(agent for agent in team() if agent.name == "analyst")
    analyst = tool_choice_graph(local_model(), agent.tools, agent.instructions, name="analyst")

    def one(case: tuple[str, float]) -> Outcome:
        task, wanted = case
        said = analyst.invoke({"messages": [HumanMessage(task)]})["messages"]
        tool, arguments = call_in(said)
        result = said[-2].text if tool == "calculator" else ""
        told = f"{tool} {arguments} = {result}\n      {said[-1].text}"
        return show(details, task, told, {"formula": close(wanted, result), "answer": close(wanted, said[-1].text)})

    return at_once(one, SUMS)


def close(wanted: float, text: str) -> bool:
    return any(abs(found - wanted) <= 0.0051 for found in numbers(text))


def call_in(messages: Sequence[Any]) -> tuple[str, Any]:
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    return (calls[0]["name"], calls[0]["args"]) if calls else ("none", "")


def at_once(work: Callable[[Any], Outcome], cases: Iterable[Any]) -> list[Outcome]:
    with ThreadPoolExecutor(SLOTS) as pool:
        return list(pool.map(work, cases))


def show(details: bool, task: str, result: str, outcome: Outcome) -> Outcome:
    wrong = [measure for measure, value in outcome.items() if value < 1]
    if details:
        print(f"  {task}\n      {result}\n      {'wrong: ' + ', '.join(wrong) if wrong else 'right'}", flush=True)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    benches = {"plans": bench_plans, "tools": bench_tools, "sums": bench_sums}
    parser.add_argument("only", nargs="*", choices=[[], *benches], help="what to measure; everything by default")
    parser.add_argument("--details", action="store_true", help="show what the model wrote")
    given = parser.parse_args()
    local_model()  # so that loading it is not counted
    print("| | measure | right | seconds each |\n|---|---|---|---|", flush=True)
    for name in given.only or benches:
        began = time.monotonic()
        outcomes = benches[name](given.details)
        seconds = (time.monotonic() - began) * SLOTS / len(outcomes)
        for measure in dict.fromkeys(key for outcome in outcomes for key in outcome):
            values = [float(outcome[measure]) for outcome in outcomes if measure in outcome]
            print(f"| {name} | {measure} | {sum(values):.3g} of {len(values)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
