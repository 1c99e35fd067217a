"""How Podium was installed, for messages that name an extra."""

from __future__ import annotations

from pathlib import Path


def install_hint(extra: str) -> str:
    """Return the command that installs an extra: in a clone, or of the package."""
    clone = Path(__file__).resolve().parents[2] / "pyproject.toml"
    return f"pip install -e '.[{extra}]'" if clone.exists() else f"pip install 'podium[{extra}]'"
