"""Another distribution's package `agents`, found first, gives one clear error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOREIGN = {
    "a package": ("agents/__init__.py", "class Agent: ..."),
    "a module": ("agents.py", "class Agent: ..."),
    "one that cannot be imported": ("agents/__init__.py", "import a_dependency_that_is_missing"),
    "one that has a syntax error": ("agents/__init__.py", "print 'hello'"),
    "one that ends the process": ("agents.py", "raise SystemExit"),
}


def importing(module: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-P", "-c", f"import {module}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("file", "text"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_package_is_named_with_what_to_do(tmp_path: Path, file: str, text: str) -> None:
    found = tmp_path / file
    found.parent.mkdir(exist_ok=True)
    found.write_text(text)
    error = importing("graphs", tmp_path, ROOT).stderr
    assert error.splitlines()[-1] == (
        f"ImportError: Podium needs its own package 'agents', but Python found {found}. If it is your own file, rename"
        " it. PyPI's openai-agents, for one, installs a package of that name; put Podium into an environment"
        " without it, or its folder first on the path."
    )
    assert "During handling" not in error


def test_a_file_of_the_users_own_that_hides_graphs_is_named(tmp_path: Path) -> None:
    (tmp_path / "graphs.py").touch()
    assert f"{tmp_path}/graphs.py hides Podium's package 'graphs'" in importing("agents", tmp_path, ROOT).stderr


def test_a_missing_package_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "graphs").symlink_to(ROOT / "graphs")
    # Without site-packages, where an editable install of Podium brings its own `agents`.
    command = [sys.executable, "-S", "-P", "-c", "import graphs.own_agents"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "but Python found none." in said.stderr


def test_a_folder_without_init_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    assert importing("graphs", tmp_path, ROOT).stderr == ""
