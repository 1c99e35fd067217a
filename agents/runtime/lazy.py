"""Names of a package that are imported when they are first used, so that importing the package stays cheap.

And the command that installs what is missing then.
"""

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path


def lazily(package: str) -> Callable[[str], object]:
    """Return a module's `__getattr__` (PEP 562) that imports what stands below its `if TYPE_CHECKING:`."""

    @cache
    def modules() -> dict[str, str]:
        source = Path(str(sys.modules[package].__file__)).read_bytes()
        blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
        imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
        return {alias.name: node.module or "" for node in imports for alias in node.names}

    def load(name: str) -> object:
        if name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load


def install_hint(extra: str, place: Path | str = "") -> str:
    """Return the command that installs an extra of the package, or of its clone, as typed in a place."""
    clone, here = Path(__file__).resolve().parents[2] / "pyproject.toml", Path(place, "pyproject.toml")
    if not clone.exists():
        return f"pip install 'podium[{extra}]'"
    folder = "." if here.exists() and here.samefile(clone) else clone.parent
    return f"pip install -e '{folder}[{extra}]'"
