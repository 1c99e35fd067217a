"""The default team, and team files: what they give and how they are refused."""

import os
from pathlib import Path
from textwrap import dedent

import pytest

from agents.agent import Agent
from agents.errors import ConfigurationError, TeamFileError
from agents.teams import load_team, team
from agents.testing import ScriptedModel
from agents.tools import can_search
from graphs.engine import load_named
from tests.tables import each

EXAMPLE = Path(__file__).parent.parent / "docs" / "team.toml"
FILE_TOOLS = {"list_files", "read_file", "search_files"}


def tools(agent: Agent) -> dict[str, object]:
    return {tool.name: tool for tool in agent.tools}


def write(folder: Path, text: str) -> Path:
    path = folder / "team.toml"
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return path


# The default team


def test_the_default_team(tmp_path: Path) -> None:
    online = {"fetch_page", "web_search"} if can_search() else {"fetch_page"}
    assert {agent.name: set(tools(agent)) for agent in team(folder=tmp_path)} == {
        "researcher": FILE_TOOLS | online | {"calculator"},
        "analyst": FILE_TOOLS | {"calculator"},
        "coder": FILE_TOOLS | {"calculator"},
        "writer": set(),
        "critic": set(),
    }


def test_each_agent_is_told_apart(tmp_path: Path) -> None:
    members = team(folder=tmp_path)
    for texts in (
        [agent.description for agent in members],
        [agent.instructions for agent in members],
        [example for agent in members for example in agent.examples],
    ):
        assert all(texts)
        assert len(set(texts)) == len(texts)
    assert all(len(agent.examples) >= 2 for agent in members)
    assert all(len(agent.instructions) < 600 for agent in members), "a small model reads this with every call"


def test_the_file_tools_read_the_given_folder(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("here")
    coder = next(agent for agent in team(folder=tmp_path) if agent.name == "coder")
    assert coder.tools[0].invoke({}) == "note.txt"


def test_the_file_tools_read_the_working_directory_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    coder = next(agent for agent in team() if agent.name == "coder")
    assert coder.tools[0].invoke({}) == "note.txt"


def test_the_team_takes_a_model(tmp_path: Path) -> None:
    model = ScriptedModel(["A poem."])
    assert all(agent.model is model for agent in team(folder=tmp_path, model=model))


# Team files


def test_the_example_file() -> None:
    agents = load_team(EXAMPLE)
    assert {agent.name: set(tools(agent)) for agent in agents} == {
        "librarian": FILE_TOOLS,
        "accountant": {"calculator"},
        "reporter": {"fetch_page"},
    }
    assert all(agent.description and agent.examples for agent in agents)


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "material").mkdir()
    (tmp_path / "material" / "note.txt").write_text("here")
    path = write(
        tmp_path,
        """
        folder = "material"
        [[agents]]
        name = "größe"
        description = "Measures."
        instructions = "You measure."
        model = "openai:some-model"
        tools = ["files", "calculator", "files"]
        examples = ["How tall?", "How wide?"]
        [[agents]]
        name = "plain"
        """,
    )
    agent, plain = load_team(str(path), model="the-team's")
    assert (agent.name, agent.description, agent.instructions) == ("größe", "Measures.", "You measure.")
    assert (agent.model, plain.model) == ("openai:some-model", "the-team's")
    assert agent.examples == ("How tall?", "How wide?")
    assert [tool.name for tool in agent.tools] == ["list_files", "read_file", "search_files", "calculator"]
    assert agent.tools[0].invoke({}) == "note.txt"


def test_the_files_own_folder_is_read_by_default(tmp_path: Path) -> None:
    path = write(tmp_path, '[[agents]]\nname = "a"\ntools = ["files"]')
    assert load_team(path)[0].tools[0].invoke({}) == "team.toml"


@each(
    ("text", "line", "why"),
    [
        ("", 1, "agents are missing; write a table [[agents]] for each"),
        ("# none\nagents = 1", 2, "'agents' must be a list, not 1"),
        ("[[agents]]\n", 1, "'name' is missing"),
        ("[[agents]]\nname = 'a b'", 2, "'a b' is not a valid name"),
        ("[[agents]]\nname = 1", 2, "'name' must be a string, not 1"),
        ("[[agents]]\nname = 'a'\n\n[[agents]]\nname = 'a'", 5, "'a' is taken by an agent above"),
        ("[[agents]]\nname = 'a'\ntool = []", 3, "unknown key 'tool'; known: name, description"),
        ("[[agents]]\nname = 'a'\n'tool' = []", 3, "unknown key 'tool'"),
        ("team = 1\n[[agents]]\nname = 'a'", 1, "unknown key 'team'; known: folder, mcp, agents"),
        ("[[agents]]\nname = 'a'\ntools = 'files'", 3, "'tools' must be a list, not 'files'"),
        ("[[agents]]\nname = 'a'\ntools = [\n  'files',\n  'fly',\n]", 3, "unknown tool 'fly'; known: calculator"),
        ("folder = 'none'\n[[agents]]\nname = 'a'", 1, "folder 'none' does not exist"),
        ("folder = '..'\n[[agents]]\nname = 'a'", 1, "folder '..' does not exist in that of the team file"),
        ("folder = '.hidden'\n[[agents]]\nname = 'a'", 1, "or is hidden"),
        ("[[agents]]\nname = 'a'\ntools = ['mcp.shop']", 3, "table [mcp.shop] is missing"),
        ("[mcp.shop]\ncommand = 'a'\nport = 1\n[[agents]]\nname = 'a'", 3, "unknown key"),
        ("[mcp.shop]\n[[agents]]\nname = 'a'", 1, "needs either a command or a url"),
        ("folder = 1\n[[agents]]\nname = 'a'", 1, "'folder' must be a string, not 1"),
        ("mcp = 3\n[[agents]]\nname = 'a'\ntools = ['mcp.x']", 1, "'mcp' must be a dict, not 3"),
        ("[[agents]]\nname = " + "9" * 5000, 2, "this is not TOML"),
        ("[[agents]]\nname = 0x" + "f" * 5000, 2, "'name' must be a string"),
        ("\n".join(f"[[agents]]\nname = 'a{number}'" for number in range(101)), 1, "more than 100 agents"),
        (f"folder = '{'a' * 5000}'\n[[agents]]\nname = 'a'", 1, "does not exist"),
        ("folder = 'loop'\n[[agents]]\nname = 'a'", 1, "does not exist"),
        ('folder = "a\\u0000b"\n[[agents]]\nname = "a"', 1, "does not exist"),
        ("[[agents]]\nname = 'a'\nname = 'b'", 3, "this is not TOML: Cannot overwrite a value"),
        ("[[agents]]\nname = \n", 2, "this is not TOML: Invalid value"),
        ("a = " + "[" * 5000, 1, "this is not TOML"),
        ('[[agents]]\r\nname = "a"\r\nrole = ""\r\n', 3, "unknown key 'role'"),
        # What only looks like a table or a key does not count.
        ('# [[agents]]\n[[agents]]\ninstructions = """\n[[agents]]\nnam = 1"""\nname = "a"\nnam = 1', 7, "key 'nam'"),
        ("[[agents]]\nname = 'a' # '''\nnam = 1 # '''", 3, "unknown key 'nam'"),
        ("agents = [{name = 'a'}, {nam = 'b'}]", 1, "unknown key 'nam'"),
        ("[[agents]]\nname = 'a'\n[agents.more]\nx = 1", 1, "unknown key 'more'"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    path = write(tmp_path, "")
    (tmp_path / ".hidden").mkdir(exist_ok=True)
    (tmp_path / "loop").unlink(missing_ok=True)
    (tmp_path / "loop").symlink_to("loop")
    path.write_bytes(text.encode())
    with pytest.raises(TeamFileError) as refused:
        load_team(path)
    assert f"{path}:{line}: " in str(refused.value)
    assert why in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_all_problems_are_told_at_once_in_order(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        folder = "none"
        [[agents]]
        description = 1
        [[agents]]
        name = "9lives"
        tools = ["fly", "swim"]
        """,
    )
    with pytest.raises(TeamFileError) as refused:
        load_team(path)
    told = [problem.removeprefix(f"{path}:").split(":")[0] for problem in str(refused.value).splitlines()]
    assert told == ["1", "2", "3", "5", "6", "6"]


@pytest.mark.skipif(can_search(), reason="ddgs is installed")
def test_a_tool_whose_library_is_missing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '[[agents]]\nname = "a"\ntools = ["web_search"]')
    with pytest.raises(TeamFileError, match=r":3: the tool 'web_search' needs: pip install"):
        load_team(path)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "slow.toml").write_text("a" + ' . "a"' * 20_000 + " = 1")  # tomllib would take minutes
    (tmp_path / "large.toml").write_text("#" * 1_000_001)
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path / "none.toml", tmp_path, *tmp_path.iterdir()):
        with pytest.raises(TeamFileError, match="cannot be read"):
            load_team(path)


def test_a_file_may_name_functions_and_servers(tmp_path: Path) -> None:
    (tmp_path / "own_tools_of_team.py").write_text(
        'def discount(price: float) -> float:\n    """Return the price after discount."""\n    return price * 0.9\n'
    )
    path = write(
        tmp_path,
        """
        [mcp.shop]
        command = "shop-server"
        args = ["--stdio"]
        [[agents]]
        name = "clerk"
        tools = ["calculator", "own_tools_of_team:discount", "mcp.shop"]
        """,
    )
    clerk = load_team(path)[0]
    assert [tool.name for tool in clerk.tools] == ["calculator", "discount"]
    assert clerk.tools[1].invoke({"price": 10}) == 9
    (shop,) = clerk.worker.toolsets
    assert (shop.command, shop.args, shop.cwd) == ("shop-server", ["--stdio"], tmp_path)
    path.write_text('[[agents]]\nname = "a"\ntools = ["no_such_module_here:f"]')
    with pytest.raises(TeamFileError, match="cannot be used"):
        load_team(path)


@pytest.mark.parametrize("code", ["raise RuntimeError('key sk-abcdefgh12345678')", "raise SystemExit(0)", "def ("])
def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "odd_tools.py").write_text(code)
    path = write(tmp_path, "[[agents]]\nname = 'a'\ntools = ['odd_tools:add']")
    with pytest.raises(TeamFileError, match="the tool 'odd_tools:add' cannot be used") as refused:
        load_team(path)
    assert "sk-" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="odd_tools:graph cannot be loaded"):
        load_named("odd_tools:graph")


def test_a_hidden_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".ssh" / "keys").mkdir(parents=True)
    for folder in (".ssh", ".ssh/keys"):
        with pytest.raises(ConfigurationError, match="hidden"):
            team(folder=tmp_path / folder)
