"""What others wrote is printed only through what makes it safe for a terminal or a page."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRINTING = {"print", "write", "add_row", "Text", "Markdown"}
SAFE = {"visible", "_escaped", "one_line", "signed", "duration", "len", "time", "json.dumps"}
REVIEWED = {
    "output.py": ["table", "line"],
    "runs.py": ["report.encode()"],  # a page, in which everything is escaped
    "notebook.py": ["model_name(model)"],
    "wording.py": ["text"],  # is only measured
    "terminal.py": [
        "line",
        "shown",
        "name",
        "_about(task)",
        "reason",
        "state.began",
        "cells",
        "room",
        "many",
        "task.level",
    ],
}
"""Expressions that are printed as they are: made of safe parts in the same file, or not by others."""


def raw_prints(file: Path) -> list[str]:
    """Return the calls that print a text which nothing has made safe."""
    reviewed = REVIEWED.get(file.name, [])
    raw = []
    for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in PRINTING and call.args and not is_safe(call.args[0], reviewed):
            raw.append(f"{file.name}:{call.lineno}: {ast.unparse(call.args[0])}")
    return raw


def is_safe(text: ast.expr, reviewed: list[str]) -> bool:
    if isinstance(text, ast.Constant) or ast.unparse(text) in reviewed:
        return True
    if isinstance(text, ast.Call):
        name = getattr(text.func, "attr", getattr(text.func, "id", ""))
        if name in SAFE | PRINTING or ast.unparse(text.func) in SAFE:
            return True
        return name == "join" and is_safe(text.func.value, reviewed)  # type: ignore[attr-defined]
    parts = [part for part in ast.iter_child_nodes(text) if isinstance(part, ast.expr)]
    if isinstance(text, ast.GeneratorExp):
        parts = [text.elt]
    if isinstance(text, ast.IfExp):
        parts = [text.body, text.orelse]
    made_of_parts = isinstance(
        text, ast.JoinedStr | ast.FormattedValue | ast.BinOp | ast.IfExp | ast.Starred | ast.GeneratorExp | ast.Tuple
    )
    return made_of_parts and all(is_safe(part, reviewed) for part in parts)


@pytest.mark.parametrize("folder", ["cli", "show"])
def test_nothing_of_others_is_printed_raw(folder: str) -> None:
    files = sorted((ROOT / "graphs" / folder).glob("*.py"))
    assert [raw for file in files for raw in raw_prints(file)] == []


def test_a_raw_print_is_found(tmp_path: Path) -> None:
    file = tmp_path / "raw.py"
    file.write_text("print(f'{answer}')\nprint(visible(answer))\nText(answer)\nprint('fine')\n")
    assert raw_prints(file) == ["raw.py:1: f'{answer}'", "raw.py:3: answer"]
