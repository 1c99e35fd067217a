"""The command that installs an extra, for messages."""

from __future__ import annotations

from pathlib import Path


def install_hint(extra: str) -> str:
    """Return the command that installs an extra: in a clone, from any folder, or of the package."""
    clone, here = Path(__file__).resolve().parents[2] / "pyproject.toml", Path("pyproject.toml")
    if not clone.exists():
        return f"pip install 'podium[{extra}]'"
    folder = "." if here.exists() and here.samefile(clone) else clone.parent
    return f"pip install -e '{folder}[{extra}]'"
