"""Run a few requests through the planner and write down what came out, as Markdown.

    python benchmarks/transcripts.py > docs/transcripts.md
    python benchmarks/transcripts.py "Your own request" --folder FOLDER

Uses the chat model that is configured, so without a key the local one. Nothing is edited and nothing tried twice.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents import team
from agents.assignment import quote
from agents.models import chat_model, model_name
from graphs import Planner
from graphs.engine import StepRecord

REQUESTS = [
    "Compare a bicycle and an electric scooter for a daily ride of 5 km in a city, and write a recommendation of two"
    " sentences.",
    "What do 250 flyers at 0.12 each cost? Write a slogan of at most 8 words for a flower shop. Then write an order of"
    " two sentences to the printer with slogan and price.",
    "Read room.txt and price.txt, then work out what an oak floor for the room costs.",
    "Write a short product description for a bamboo toothbrush, have it checked, and write the final version.",
]
FILES = {
    "room.txt": "The room is 5.5 m long and 4 m wide.\n",
    "price.txt": "Oak floor, laid: 48 euros per square metre.\n",
}

OPENING = """# Transcripts

Real runs of the planner with the default team, as they came out: one run of each request, nothing edited. Made by
`python benchmarks/transcripts.py` with the model `{model}` on {machine}. Seconds count from the start of the run;
steps whose times overlap worked at the same time."""

FILES_NOTE = "\n\nThe folder that the agents could read held these files:\n\n{files}"


def transcript(request: str, folder: str) -> Iterator[str]:
    """Run a request and yield the paragraphs that tell how it went."""
    graph = Planner(team(folder=folder)).compile()
    began, clock = time.time(), time.monotonic()
    state = graph.invoke({"messages": request})
    seconds = time.monotonic() - clock
    steps: Mapping[str, StepRecord] = state["steps"]
    yield f"## {request}"
    yield "\n".join(plan_table(steps, began))
    for record in steps.values():
        yield quote(f"**{record['id']}** ({record['answered_by'] or record['agent']})", told(record))
    yield quote("**Answer**", state["messages"][-1].text)
    yield totals(state, seconds)


def plan_table(steps: Mapping[str, StepRecord], began: float) -> Iterator[str]:
    yield "| step | agent | task | builds on | status | seconds | tokens read + written |"
    yield "|---|---|---|---|---|---|---|"
    for step in steps.values():
        builds_on = ", ".join(step["dependencies"]) or "-"
        usage = step["usage"]
        tokens = f"{usage['input_tokens']} + {usage['output_tokens']}"
        cells = [step["id"], step["agent"], step["task"], builds_on, step["status"], span(step, began), tokens]
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def span(record: StepRecord, began: float) -> str:
    if record["started"] is None or record["ended"] is None:
        return "-"
    return f"{record['started'] - began:.0f} to {record['ended'] - began:.0f}"


def told(record: StepRecord) -> str:
    return record["result"] or record["error"] or ""


def totals(state: Mapping[str, Any], seconds: float) -> str:
    usage = state["usage"]
    calls = ", ".join(f"{name} {item['calls']}" for name, item in usage["agents"].items())
    problems = "".join(f"\n- {error['where']}: {error['message']}" for error in state["errors"])
    reason = f" ({state['stop_reason']})" if state["stop_reason"] else ""
    return (
        f"{state['status']}{reason} in {seconds:.0f} s; {usage['calls']} model calls ({calls}), "
        f"{usage['input_tokens']} tokens read, {usage['output_tokens']} written.{problems}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", nargs="*", help="what to run; three requests of this file by default")
    parser.add_argument("--folder", type=Path, help="what the file tools read; two small files by default")
    given = parser.parse_args()
    machine = f"{platform.machine()} with Python {platform.python_version()}"
    print(OPENING.format(model=model_name(chat_model()), machine=machine), end="")
    with tempfile.TemporaryDirectory() as made:
        for name, text in FILES.items():
            Path(made, name).write_text(text)
        if not given.folder:
            print(FILES_NOTE.format(files="\n".join(f"- {name}: {text.strip()}" for name, text in FILES.items())))
        for request in given.requests or REQUESTS:
            print("\n" + "\n\n".join(transcript(request, str(given.folder or made))), flush=True)
            print("done:", request, file=sys.stderr)


if __name__ == "__main__":
    main()
