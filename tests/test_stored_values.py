"""What is stored is plain, and read back as nothing else."""

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langgraph.types import Overwrite, Send

from agents import Agent
from benchmarks.scripted import GRAPHS, REQUEST, Log, Scripted
from graphs import Router
from graphs.storage import sqlite
from graphs.storage.serializer import CompressingSerializer
from tests.stored import config, two_steps


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


JSON = (str, int, float, bool, type(None))


def odd(value: Any, allowed: tuple[type, ...] = ()) -> Iterator[str]:
    """Name every type in a value that is neither JSON nor a message."""
    if isinstance(value, dict):
        yield from (item for pair in value.items() for part in pair for item in odd(part, allowed))
    elif isinstance(value, list | tuple):
        yield from (item for part in value for item in odd(part, allowed))
    elif isinstance(value, BaseMessage):
        yield from odd(value.model_dump(), allowed)
    elif isinstance(value, allowed):
        yield from odd(value.arg if isinstance(value, Send) else value.value, allowed)  # type: ignore[attr-defined]
    elif not isinstance(value, JSON):
        yield type(value).__qualname__


@pytest.mark.parametrize("name", GRAPHS)
def test_checkpoints_hold_plain_json_and_messages(name: str, file: Path, tmp_path: Path) -> None:
    make = Scripted(Log(tmp_path / "log"), pause=0, asynchronous=False)
    with sqlite(file) as saver:
        GRAPHS[name](make).compile(saver).invoke({"messages": REQUEST}, config())
    trusting = CompressingSerializer(allowed_msgpack_modules=True)
    connection = sqlite3.connect(file)
    for row in connection.execute("SELECT type, checkpoint FROM checkpoints"):
        assert list(odd(trusting.loads_typed(row), (Send, Overwrite))) == []
    for row in connection.execute("SELECT type, value FROM writes"):
        assert list(odd(trusting.loads_typed(row), (Send, Overwrite))) == []
    connection.close()


TEXT = (Path(__file__).parent.parent / "docs" / "agents.md").read_text()


def test_a_long_thread_takes_at_most_ten_times_its_text(file: Path) -> None:
    """As files, write-ahead log included, while it is open."""
    asked = [f"{turn} {TEXT[turn * 211 :][:120]}" for turn in range(80)]
    with sqlite(file) as storage:
        worker = Agent("worker", function=lambda task: TEXT[len(task) :][:360])
        graph = Router([worker], classifier=lambda text: "worker", model=False).compile(storage)
        for text in asked:
            result = graph.invoke({"messages": text}, config())
        written = sum(len(message.text) for message in result["messages"])
        assert sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*") if part.is_file()) < 10 * written


def bomb(megabytes: int) -> bytes:
    """Compress as many times the same megabyte, whose flushed block is compressed once."""
    compressor = zlib.compressobj(1)
    first, block = (compressor.compress(b"x" * 2**20) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + block * (megabytes - 1)


def test_large_values_are_compressed_and_damaged_ones_are_errors() -> None:
    serializer = CompressingSerializer(allowed_msgpack_modules=None)
    kind, data = serializer.dumps_typed([TEXT])
    assert (kind, len(data) < len(TEXT) / 2) == ("msgpack+zlib", True)
    assert serializer.loads_typed((kind, data)) == [TEXT]
    for damaged in (data[:-9], b"x" + data, bomb(257)):
        with pytest.raises(ValueError, match="compressed value"):
            serializer.loads_typed((kind, damaged))


@dataclass
class Trap:
    """What somebody has put into a checkpoint to have it constructed."""

    sprung = 0

    def __post_init__(self) -> None:
        Trap.sprung += 1


def test_other_types_are_not_constructed(file: Path) -> None:
    with sqlite(file) as saver:
        two_steps().compile(saver).invoke({"messages": "go"}, config())
        last = saver.get_tuple(config())
        assert last is not None
        saver.put_writes(last.config, [("steps", Trap())], "task")
        Trap.sprung = 0
        written = saver.get_tuple(config()).pending_writes  # type: ignore[union-attr]
        assert written == [("task", "steps", {})]
        assert Trap.sprung == 0
