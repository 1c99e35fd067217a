"""Execute the notebooks as a newcomer would, in a fresh kernel without a key or a model, and save what they show.

python -m tests.notebooks [notebooks/1_planner.ipynb ...]        all of them if none is named
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_SECONDS = 120
_OF_OTHERS = ("PODIUM_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "OTEL_")


def environment(scratch: str, **more: str) -> dict[str, str]:
    """Return an environment in which no model is set up and nothing of the user's is read or written."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(_OF_OTHERS) and not key.endswith("_API_KEY")
    }
    own = {"PODIUM_CACHE": scratch, "IPYTHONDIR": scratch, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    return {**kept, **own, **more}


def execute(path: Path, **more: str) -> NotebookNode:
    """Return a notebook as executed anew; `more` is added to the environment."""
    notebook = nbformat.read(path, as_version=4)
    for cell in code(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=MOST_SECONDS,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=40"],  # it warns of other users of this machine
        resources={"metadata": {"path": str(FOLDER)}},
    )
    with TemporaryDirectory() as scratch:
        client.execute(env=environment(scratch, **more))
    return tidy(notebook)


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Leave out what differs from machine to machine, so that a difference is one that counts."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", {}
    return notebook


def code(notebook: NotebookNode) -> list[Any]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield each output with its cell."""
    for cell in code(notebook):
        for output in cell.outputs:
            yield cell, output


def main(paths: list[Path]) -> None:
    for path in paths:
        nbformat.write(execute(path), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1:]] or NOTEBOOKS)
