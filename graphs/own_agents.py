"""Imported before anything else: makes sure that `agents` is Podium's, not another distribution's package.

It is looked up, not imported, for a foreign package may fail when it is, or do anything.
"""

from importlib.util import find_spec
from pathlib import Path

_own = Path(__file__).resolve().parents[1] / "agents" / "__init__.py"
_found = find_spec("agents")

if _found is None or Path(_found.origin or "").resolve().with_suffix("") != _own.with_suffix(""):
    places = [] if _found is None else [_found.origin] if _found.has_location else _found.submodule_search_locations
    raise ImportError(
        f"Podium needs its own package 'agents', but Python found {next(iter(places or ()), 'none')}."
        " If it is your own file, rename it. PyPI's openai-agents, for one, installs a package of that name;"
        " put Podium into an environment without it, or its folder first on the path."
    )
