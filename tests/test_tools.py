"""The calculator and the file tools: what they answer, and what they refuse."""

import os
import time
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from agents.errors import ConfigurationError
from agents.runtime import CALCULATED, names_for
from agents.teams.toml_file import TOOLS
from agents.tools import calculator, file_tools
from agents.tools.arithmetic import compute
from agents.tools.files import MAX_FILE_BYTES, MAX_LISTED, MAX_MATCHES, MAX_OUTPUT
from agents.workers.lines import asked_values, lines_in
from tests.tables import each


@each(
    ("expression", "result"),
    [
        ("1 + 2 * 3", "7"),
        ("0.1 + 0.2", "0.3"),
        ("7 // 2 - -1", "4"),
        ("17 % 5", "2"),
        ("2 ** -1", "0.5"),
        ("2^10", "1024"),
        ("3 \u00d7 4 \u00f7 2 \u2212 1", "5"),  # with the typographic signs
        ("1,234,567 + 1", "1234568"),
        ("15% of 80", "12"),
        ("200 * 15%", "30"),
        ("7 / 2 =", "3.5"),
        ("sqrt(2)", "1.4142135623731"),
        ("round(2.567, 2)", "2.57"),
        ("round(1234, -2)", "1200"),
        ("round(7, -10 ** 9)", "0"),
        ("max(100,200)", "200"),
        ("mean(1, 2, 6)", "3"),
        ("sum(1, 2, 3) / ln(e)", "6"),
        ("factorial(20)", "2432902008176640000"),
        ("10 ** 30 + 1", "1" + "0" * 29 + "1"),
        ("1\n+ 2", "3"),
        ("net = 1,250 - 300; tax = net * 19%\nsum = net + tax", "net = 950\ntax = 180.5\nsum = 1130.5"),
        ("1 + 1; 2 * 3", "1 + 1 = 2\n2 * 3 = 6"),
        ("$1,200 / 4 + 5 €", "305"),
        ("1 000 x 3 + 1'000", "4000"),
        ("12 percent of 50", "6"),
        ("\uff11\uff12 + 3\u00b2", "21"),  # wide digits, and a square
    ],
)
def test_calculates(expression: str, result: str) -> None:
    assert calculator.invoke({"expression": expression}) == result


@each(
    ("expression", "why"),
    [
        ("1 / 0", "divides by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("10.0 ** 400", "too large"),
        ("factorial(10 ** 9)", "too large"),
        ("1" + " * 9 ** 99" * 40, "too large"),
        ("(-8) ** 0.5", "not a real number"),
        ("1j * 1j", "not a real number"),
        ("'a' * 10 ** 9", "only numbers"),
        ("'%0999999999d' % 1", "only numbers"),
        ("True", "only numbers"),
        ("[1] * 10 ** 9", "List is not available"),
        ("20% + 5", "adding a percentage is ambiguous"),
        ("200 * 10% - 5", "adding a percentage is ambiguous"),
        ("2(3 + 4)", "write * between factors"),
        ("max(1 for _ in ())", "not available"),
        ("__import__('os')", "'__import__' is not known"),
        ("12 * x", "'x' is not known; known are abs"),
        ("12 apples", "no words"),
        ("", "empty"),
        ("\0", "null"),
        ("1,00,000", "Cannot compute"),
        ("200 + 10%", "ambiguous"),
        ("max(1,200, 3)", "without separators"),
        ("(" * 400, "Cannot compute"),
        ("-" * 499 + "1", "nested too deeply"),
        ("1" * 1001, "at most 1000"),
        ("net = 5; tax = net * rate", "'tax = net * rate': 'rate' is not known; known are"),
    ],
)
def test_says_why_it_cannot_calculate(expression: str, why: str) -> None:
    began = time.thread_time()
    assert why in calculator.invoke({"expression": expression})
    assert time.thread_time() - began < 20


def test_results_are_names_in_later_calculations_of_an_assignment() -> None:
    names = names_for({}, {"net": 100})
    config: RunnableConfig = {"configurable": {CALCULATED: names}}
    assert calculator.invoke({"expression": "tax = net * 0.2"}, config) == "20"
    assert calculator.invoke({"expression": "net + tax"}, config) == "120"
    assert names.maps[0] == {"tax": 20}


@each(
    ("reply", "lines", "results"),
    [
        ("chairs = 12\nprice = 45.50\ntotal = chairs * price", None, {"total": "546"}),
        (
            "```python\nkm = 740\nlitres = km / 100 * 8.5  # in all\nprint(litres)\n```",
            "km = 740\nlitres = km / 100 * 8.5",
            {"litres": "62.9"},
        ),
        ("a = 1\nb = a + later\nc = a + 1", "a = 1\nc = a + 1", {"c": "2"}),
        ("total = 4 * 45", None, {"total": "180"}),
        ("days = 30", "", {}),
        ("none", "", {}),
        ("The total = 4 chairs", "", {}),
    ],
)
def test_reads_a_calculation_written_as_lines(reply: str, lines: str | None, results: dict[str, str]) -> None:
    kept = lines_in(reply, {}, compute)
    assert kept == (reply if lines is None else lines)
    if kept:
        assert asked_values(kept, calculator.invoke({"expression": kept}), "") == results


def test_a_wrong_argument_is_explained() -> None:
    assert "expression: Field required" in calculator.invoke({"sum": "1 + 1"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "notes" / ".private").mkdir(parents=True)
    (root / "b.txt").write_text("Second\nThe GRÜSSE are here\n", encoding="utf-8")
    (root / "a.txt").write_text("First\n")
    (root / "notes" / "trip.md").write_text("To Lisbon\nThen grüße from home\n", encoding="utf-8")
    (root / ".env").write_text("SECRET=grüße")
    (root / "notes" / ".private" / "diary.txt").write_text("SECRET")
    (root / "picture.png").write_bytes(b"\x89PNG\0\0gr\xc3\xbc\xc3\x9fe")
    (tmp_path / "outside.txt").write_text("SECRET grüße", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "deep.txt").write_text("SECRET")
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2" / "near.txt").write_text("SECRET")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "chain").symlink_to(root / "linked")
    (root / "env.txt").symlink_to(root / ".env")
    (root / "circle").symlink_to(root / "circle")
    (root / "inner.txt").symlink_to(root / "a.txt")
    (root / "up").symlink_to(root)
    os.mkfifo(root / "pipe")
    return root


def call(folder: Path, name: str, **arguments: object) -> str:
    tools: dict[str, BaseTool] = {tool.name: tool for tool in file_tools(folder)}
    return str(tools[name].invoke(arguments))


def test_lists_files_in_order(folder: Path) -> None:
    assert call(folder, "list_files").splitlines() == ["a.txt", "b.txt", "inner.txt", "picture.png", "notes/trip.md"]
    assert call(folder, "list_files", path="notes") == "notes/trip.md"


def test_lists_only_so_many(tmp_path: Path) -> None:
    for number in range(MAX_LISTED + 1):
        (tmp_path / f"{number:04}").touch()
    assert len(call(tmp_path, "list_files").splitlines()) == MAX_LISTED + 1
    assert "and more" in call(tmp_path, "list_files")


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    assert call(tmp_path, "list_files") == "The folder is empty."


def test_a_missing_folder_is_refused_when_built(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        file_tools(tmp_path / "none")


@pytest.mark.parametrize("path", ["a.txt", "./a.txt", "notes/../a.txt", "inner.txt", "up/a.txt", " a.txt "])
def test_reads_a_file(folder: Path, path: str) -> None:
    assert call(folder, "read_file", path=path) == "First\n"


@each(
    "path",
    [
        *("../outside.txt", "notes/../../outside.txt", "../root-2/near.txt", "/etc/passwd", "~/.bashrc"),
        *("link.txt", "linked/deep.txt", "chain/deep.txt", "up/link.txt", "circle"),
        *(".env", "env.txt", "notes/.private/diary.txt", "a.txt\0.md", "a" * 290, "none.txt", "a.txt/x"),
    ],
)
@each("tool", ["read_file", "list_files", "search_files"])
def test_whatever_is_not_in_the_folder_does_not_exist(folder: Path, tool: str, path: str) -> None:
    arguments = {"path": path} | ({"text": "secret"} if tool == "search_files" else {})
    assert call(folder, tool, **arguments).endswith("here. Use a name as list_files gives it.")


@pytest.mark.parametrize(("path", "why"), [("notes", "not a file"), ("pipe", "not a file"), ("picture.png", "binary")])
def test_says_why_it_cannot_read(folder: Path, path: str, why: str) -> None:
    assert why in call(folder, "read_file", path=path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    assert "too large" in call(tmp_path, "read_file", path="large")


def test_reads_a_long_file_in_parts(tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 5001)]
    (tmp_path / "long").write_text("".join(lines))
    read, start = "", 1
    while start:
        part, _, more = call(tmp_path, "read_file", path="long", start_line=start).partition("... (")
        assert len(part) <= MAX_OUTPUT
        read, start = read + part, int(more.rpartition("=")[2].rstrip(")") or 0)
    assert read == "".join(lines)


def test_reads_past_a_line_longer_than_a_reply(tmp_path: Path) -> None:
    (tmp_path / "wide").write_text("x" * 50_000 + "\nend\n")
    assert "start_line=2" in call(tmp_path, "read_file", path="wide")
    assert call(tmp_path, "read_file", path="wide", start_line=2) == "end\n"
    assert "has 2 lines" in call(tmp_path, "read_file", path="wide", start_line=3)


def test_other_encodings_are_readable(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("Grüße".encode("latin-1"))
    (tmp_path / "marked").write_bytes("Grüße".encode("utf-8-sig"))
    assert call(tmp_path, "read_file", path="latin") == "Gr��e"
    assert call(tmp_path, "read_file", path="marked") == "Grüße"


def test_finds_text_in_any_case(folder: Path) -> None:
    assert call(folder, "search_files", text="grüße").splitlines() == [
        "b.txt:2: The GRÜSSE are here",
        "notes/trip.md:2: Then grüße from home",
    ]
    assert call(folder, "search_files", text="GRÜSSE", path="notes") == "notes/trip.md:2: Then grüße from home"


def test_searching_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("word\n" * 1000)
    (tmp_path / "wide").write_text("x" * 5000 + "needle" + "x" * 5000)
    assert len(call(tmp_path, "search_files", text="word").splitlines()) == MAX_MATCHES + 1
    assert "needle" in call(tmp_path, "search_files", text="needle")
    assert len(call(tmp_path, "search_files", text="needle")) < 250


def test_a_search_without_result_says_what_to_try(folder: Path) -> None:
    assert "Try one word" in call(folder, "search_files", text="SECRET")
    assert "Give a text" in call(folder, "search_files", text="  ")


def test_every_tool_is_described(tmp_path: Path) -> None:
    for make in TOOLS.values():
        for tool in make(tmp_path):
            assert tool.description
            assert all("description" in argument for argument in tool.args.values())
