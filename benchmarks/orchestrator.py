"""What orchestration adds, and what it costs: three real requests, answered by the orchestrator and by its baseline.

    python benchmarks/orchestrator.py [--out docs/orchestrator_transcripts.md]

Uses the configured model, as `podium` does; with the local one on two cores it takes about ten minutes. Writes a
Markdown transcript: triage, plan, steps, reviews and answer, beside the answer of a single agent, with the calls,
tokens and seconds of both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from agents import chat_model, team
from agents.assignment import quote
from agents.models import model_name
from graphs import Orchestrator

REQUESTS = [
    "What do 12 chairs at 45.50 and 4 tables at 120 cost together? Name two things that make an office chair"
    " comfortable. Then write a note of two sentences with both.",
    "Read prices.txt and work out what 4 chairs and 1 table cost together.",
    "Write a one-line slogan for a bicycle repair shop.",
]
FILES = {"prices.txt": "chair 45.00\ntable 120.00\nlamp 18.50\n"}
DEFAULT_OUT = Path(__file__).parents[1] / "docs" / "orchestrator_transcripts.md"


class Run(NamedTuple):
    """One answered request."""

    state: dict[str, Any]
    reviews: list[tuple[str, Any]]
    """Every review with its place: that of a step, or empty for the final one."""
    seconds: float


def run(request: str, folder: str, *, baseline: bool) -> Run:
    """Answer a request, watching the reviews of its steps."""
    graph = Orchestrator(team(folder=folder), baseline=baseline).compile()
    state: dict[str, Any] = {}
    reviews: list[tuple[str, Any]] = []
    began = time.monotonic()
    for namespace, mode, chunk in graph.stream(
        {"messages": request}, stream_mode=["updates", "values"], subgraphs=True
    ):
        if mode == "values" and not namespace:
            state = chunk
        elif mode == "updates" and (chunk.get("review") or {}).get("reviews"):
            step = namespace[-1].split(":")[0] if namespace else ""
            reviews.append((step, chunk["review"]["reviews"][-1]))
    return Run(state, reviews, time.monotonic() - began)


def transcript(request: str, whole: Run, alone: Run) -> Iterator[str]:
    """Tell one request and its two answers in Markdown."""
    yield quote("Request", request)
    yield from told(whole)
    yield quote(f"Answer of the orchestrator ({ending(whole.state)})", whole.state["messages"][-1].text)
    yield quote(f"Answer of a single agent ({ending(alone.state)})", alone.state["messages"][-1].text)
    yield costs(whole, alone)


def told(whole: Run) -> Iterator[str]:
    triage = whole.state["triage"]
    size = f"small, for {triage['agent']}" if triage["small"] else "to be planned"
    yield f"Triage: {size} ({triage['reason']})."
    for item in whole.state["steps"].values():
        after = f" after {', '.join(item['dependencies'])}" if item["dependencies"] else ""
        seconds = (item["ended"] or 0) - (item["started"] or 0)
        heading = f"Step `{item['id']}` by {item['agent']}{after}, {item['status']} in {seconds:.0f} s: {item['task']}"
        yield quote(heading, item["result"] or item["error"] or "")
    for step, review in whole.reviews:
        yield reviewed(f"Review of `{step}`" if step else "Final review", review)
    if whole.state["errors"]:
        errors = (f"- {error['where']}: {error['kind']}: {error['message']}" for error in whole.state["errors"])
        yield "On the way:\n\n" + "\n".join(errors)


def reviewed(heading: str, review: Any) -> str:
    ruling = "accepted" if review["acceptable"] else f"rejected: {review['feedback']}"
    found = (
        f"- {'met' if criterion['met'] else 'not met'}: {criterion['criterion']} {criterion['evidence']}"
        for criterion in review["criteria"]
    )
    return f"{heading}, {ruling}\n\n" + "\n".join(found)


def ending(state: dict[str, Any]) -> str:
    return f"{state['status']}: {state['stop_reason']}" if state["stop_reason"] else str(state["status"])


def costs(whole: Run, alone: Run) -> str:
    lines = ["| | calls | tokens read | tokens written | seconds |", "|---|---|---|---|---|"]
    for name, item in (("orchestrator", whole), ("single agent", alone)):
        used = item.state["usage"]
        lines.append(
            f"| {name} | {used['calls']} | {used['input_tokens']} | {used['output_tokens']} | {item.seconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the Markdown file that is written")
    out = parser.parse_args().out
    name = model_name(chat_model())
    parts = [
        "# Orchestrator and baseline on three requests",
        f"Written by `python benchmarks/orchestrator.py` with the model `{name}`; nothing is edited.",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for file, text in FILES.items():
            Path(folder, file).write_text(text)
        for number, request in enumerate(REQUESTS, 1):
            alone = run(request, folder, baseline=True)
            whole = run(request, folder, baseline=False)
            parts += [f"## {number}", *transcript(request, whole, alone)]
            out.write_text("\n\n".join(parts) + "\n")
            print(f"request {number}: {ending(whole.state)}\n{costs(whole, alone)}", flush=True)


if __name__ == "__main__":
    main()
