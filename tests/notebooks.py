"""Execute the notebooks in a fresh kernel without a key or a model, and save them with their outputs.

python -m tests.notebooks [notebooks/1_planner.ipynb ...]        all of them if none is named

Jupyter is imported where it is used: every worker of the tests reads this file, and one executes notebooks.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.processes import FROM_LANGSMITH

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_SECONDS = 600
_OF_OTHERS = ("PODIUM_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "OTEL_")


def environment(scratch: str) -> dict[str, str]:
    """Return an environment without a key or a network, and without the local model."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(_OF_OTHERS) and not key.endswith("_API_KEY")
    }
    own = {"IPYTHONDIR": scratch, "PYTHONWARNINGS": f"default,{FROM_LANGSMITH}", "PYTHONPATH": str(ROOT)}
    nobody = "http://127.0.0.1:9"  # a proxy that is not there
    alone = {"PODIUM_CACHE": scratch, "HTTP_PROXY": nobody, "HTTPS_PROXY": nobody}
    return {**kept, **own, **alone}


@asynccontextmanager
async def started_kernel() -> AsyncIterator[AsyncKernelManager]:
    """Start a kernel, which ends with the block."""
    from jupyter_client.manager import AsyncKernelManager

    manager = AsyncKernelManager(kernel_name="python3")
    with TemporaryDirectory() as scratch:
        options = ["--log-level=40"]  # it warns of other users of this machine
        await manager.start_kernel(extra_arguments=options, cwd=str(FOLDER), env=environment(scratch))
        try:
            yield manager
        finally:
            await manager.shutdown_kernel(now=True)


async def execute(path: Path, kernel: AsyncKernelManager) -> NotebookNode:
    """Return a notebook with fresh outputs, with nothing left of what the kernel executed before."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in code(notebook):
        cell.outputs, cell.execution_count = [], None
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    client = NotebookClient(notebook, km=kernel, timeout=MOST_SECONDS, record_timing=False)
    try:
        await client.async_execute()
    finally:
        client.kc.stop_channels()
    del notebook.cells[0]
    return tidy(notebook)


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Leave out what differs from machine to machine."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", {}
    for number, cell in enumerate(code(notebook), 1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    return notebook


def code(notebook: NotebookNode) -> list[Any]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> Iterator[tuple[Any, Any]]:
    """Yield each output with its cell."""
    for cell in code(notebook):
        for output in cell.outputs:
            yield cell, output


async def save(path: Path) -> None:
    import nbformat

    async with started_kernel() as kernel:
        nbformat.write(await execute(path, kernel), path)


def main(paths: list[Path]) -> None:
    for path in paths:
        asyncio.run(save(path))
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or NOTEBOOKS)
