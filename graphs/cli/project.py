"""`podium new`: a small project of one's own, of the files in the folder `project`."""

import re
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from shutil import which
from string import Template
from typing import Annotated

from cyclopts import Parameter

from agents.errors import ConfigurationError
from agents.runtime import install_hint
from graphs.cli.output import say, stdout

_FILES = Path(__file__).with_name("project")
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_TAKEN = ("podium", "tests")


def new_command(
    folder: Annotated[Path, Parameter(help="A new or empty folder; its name is that of the project.")], /
) -> None:
    """Make a small project of your own, in a new or empty folder whose name can be that of a project and a module."""
    name = folder.resolve().name
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or iskeyword(module):
        raise ConfigurationError(f"{name!r} cannot name a project; use small letters, digits and '-', as in my-team")
    if module in _TAKEN or find_spec(module):  # a file of this name would be imported instead of that module
        raise ConfigurationError(f"{name!r} cannot name a project: there is a module of this name; choose another")
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"There is a {folder} already; choose another name")
    except OSError as error:
        raise ConfigurationError(f"Cannot make {folder}: {error.strerror}") from error
    for file in sorted(_FILES.iterdir()):
        text = Template(file.read_text(encoding="utf-8")).substitute(module=module, name=name)
        (folder / file.name.removesuffix(".template").replace("my_team", module)).write_text(text, encoding="utf-8")
    steps = [] if folder.resolve() == Path.cwd() else [f"cd {folder}"]
    steps.append("pip install pytest && python -m pytest")
    steps += [f'podium run {module}:graph "Compare a bus and a taxi for 10 km"', "podium show"]
    steps.append(f"{install_hint('studio', folder)} && langgraph dev  # LangGraph Studio")
    activate = Path(sys.prefix, "bin", "activate")
    if which("podium") is None and activate.exists():
        steps.insert(0, f"source {activate}  # for python and podium")
    lines = "\n  ".join(steps)
    say(stdout(), f"{name} is ready. Try it:\n\n  {lines}\n\n{module}.py is the team, {module}.ipynb a notebook.")
