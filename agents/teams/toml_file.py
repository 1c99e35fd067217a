"""Team files: TOML that says who is in a team; docs/team.toml is an example.

read -> TOML -> every problem, with its line -> TeamFile

A table `[[agents]]` for each agent has a `name` and as needed `description`, `instructions`, `model`, `tools` and
`examples`. Before them `folder` may say what the file tools read: a folder inside the file's own, else that one.
Besides the names of Podium's tools, `tools` may have `module:function`, and `mcp.NAME` for the server in the table
`[mcp.NAME]`. Both run code: a team file with them deserves the trust that a program does.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Self

from langchain_core.tools import BaseTool
from pydantic import AfterValidator, BaseModel, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from agents.errors import TeamFileError
from agents.runtime import install_hint, reads_foreign_text
from agents.tools import calculator, can_search, fetch_page, file_tools, web_search

Place = tuple[int | str, ...]
"""Path of something in the data: `("agents", 0, "name")`."""

_TOKENS = re.compile(
    r"""
      ["]{3} (?: \\.? | [^\\] )*? (?: ["]{3,5} | \Z )  # a text of several lines, with escapes
    | [']{3} .*? (?: [']{3,5} | \Z )                     # the same without escapes
    | ["] (?: \\.? | [^"\\\n] )*+ (?: ["] | (?=\n) | \Z )
    | ['] [^'\n]*+ (?: ['] | (?=\n) | \Z )
    | [#] [^\n]*
    """,
    re.DOTALL | re.VERBOSE,
)
_AGENT = re.compile(r"""\s*\[\[\s*["']?agents["']?\s*\]\]""")
_TABLE = re.compile(r"""\s*\[\s*([\w.-]+)\s*\]""")
_FUNCTION = re.compile(r"[\w.]+:\w+")
MCP = "mcp."
TOOLS: dict[str, Callable[[Path], list[BaseTool]]] = {
    "calculator": lambda _: [calculator],
    "fetch_page": lambda _: [fetch_page],
    "files": file_tools,
    "web_search": lambda _: [web_search],
}
"""Makers of Podium's tools by name; each takes the folder that file tools may read."""
MAX_BYTES = 1_000_000
"""Size of a team file."""
MAX_AGENTS, MAX_PROBLEMS, MAX_SHOWN = 100, 20, 100
"""Agents of a team, problems that are listed, and characters of a name, or a value, in one."""
_LONG_KEY = re.compile(r"(?:[\w-]{1,20}+[ \t]*+\.[ \t]*+){20}")
"""A dotted key for which tomllib takes minutes, in a text without strings."""
_KEY = re.compile(r"""\s*(["']?)([\w-]+)\1\s*=""")


def _identifier(name: str) -> str:
    if not name.isidentifier() or len(name) > MAX_SHOWN:
        raise ValueError(f"{name[:MAX_SHOWN]!r} is not a valid name: use letters, digits and _ only, no digit first")
    return name


def _tool_name(name: str) -> str:
    if name not in TOOLS and not name.startswith(MCP) and not _FUNCTION.fullmatch(name):
        raise ValueError(f"unknown tool {name!r}; known: {', '.join(TOOLS)}, {MCP}NAME, module:function")
    if name == "web_search" and not can_search():
        raise ValueError(f"the tool 'web_search' needs: {install_hint('web')}")
    return name


def _folder(folder: str, info: ValidationInfo) -> str:
    """Accept a folder inside that of a team file, which another user may have written, if it is not hidden."""
    parent = Path(info.context or ".")
    try:
        inside = (parent / folder).resolve().relative_to(parent.resolve())
        if (parent / folder).is_dir() and not any(part.startswith(".") for part in inside.parts):
            return folder
    except (ValueError, OSError, RuntimeError):  # outside, or a NUL in the name; too long; a loop of links
        pass
    raise ValueError(f"folder {folder[:MAX_SHOWN]!r} does not exist in that of the team file, or is hidden")


class AgentEntry(BaseModel, extra="forbid", strict=True):
    """One table `[[agents]]`."""

    name: Annotated[str, AfterValidator(_identifier)]
    description: str = ""
    instructions: str = ""
    model: str | None = None
    tools: list[Annotated[str, AfterValidator(_tool_name)]] = []
    examples: list[str] = []


class ServerEntry(BaseModel, extra="forbid", strict=True):
    """One table `[mcp.NAME]`: the arguments of `MCPTools`."""

    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}
    only: list[str] | None = None

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("an MCP server needs either a command or a url")
        return self


class TeamFile(BaseModel, extra="forbid", strict=True):
    """A whole team file."""

    folder: Annotated[str, AfterValidator(_folder)] = "."
    mcp: dict[str, ServerEntry] = {}
    agents: list[AgentEntry] = Field(min_length=1, max_length=MAX_AGENTS)


def read_team_file(path: Path) -> TeamFile:
    """Read and check a team file; a `TeamFileError` has one line for each problem: file:line: what is wrong."""
    try:
        text = _text(path)
    except (OSError, ValueError) as error:
        raise TeamFileError(f"{path}: the team file cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also of a number with too many digits
        stated = re.search(r"at line (\d+)", str(error))
        line = int(stated[1]) if stated else text.count("\n") + 1
        raise TeamFileError(f"{path}:{line}: this is not TOML: {error}") from error
    try:
        file = TeamFile.model_validate(data, context=path.parent)
        problems = list(_problems(file))
    except ValidationError as error:
        problems = [(item["loc"], _in_words(item)) for item in error.errors()[: 10 * MAX_PROBLEMS]]
    if problems:
        lines = _lines(text)
        located = sorted((_line(lines, place), problem) for place, problem in problems)[:MAX_PROBLEMS]
        raise TeamFileError("\n".join(f"{path}:{line}: {problem}" for line, problem in located))
    return file


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")  # a pipe would be waited for
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1).decode("utf-8-sig")
    if len(text) > MAX_BYTES or _LONG_KEY.search(_TOKENS.sub("_", text)):
        raise ValueError(f"it has more than {MAX_BYTES} bytes, or a key of many parts")
    return text


def _problems(file: TeamFile) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong between the parts of a file, each of which is right."""
    names = [entry.name for entry in file.agents]
    for index, entry in enumerate(file.agents):
        for tool in entry.tools:
            if tool.startswith(MCP) and tool.removeprefix(MCP) not in file.mcp:
                yield ("agents", index, "tools"), f"table [{tool}] is missing"
        if entry.name in names[:index]:
            yield ("agents", index, "name"), f"the name {entry.name!r} is taken by an agent above"


def _in_words(error: ErrorDetails) -> str:
    key = ".".join(part for part in error["loc"] if isinstance(part, str) and part != "agents")[:MAX_SHOWN]
    match error["type"], error["loc"]:
        case (("missing" | "too_short"), ("agents",)):
            return "agents are missing; write a table [[agents]] for each"
        case "too_long", _:
            return f"more than {MAX_AGENTS} agents"
        case "missing", _:
            return f"{key!r} is missing"
        case "extra_forbidden", place:
            kinds: dict[str, type[BaseModel]] = {"agents": AgentEntry, "mcp": ServerEntry}
            allowed = kinds.get(str(place[0]) if len(place) > 1 else "", TeamFile).model_fields
            return f"unknown key {key!r}; known: {', '.join(allowed)}"
        case "value_error", _:
            return error["msg"].removeprefix("Value error, ")
    wanted = error["type"].removesuffix("_type").replace("model", "table")
    try:
        value = repr(error["input"])[:MAX_SHOWN]
    except ValueError:  # a number with too many digits
        value = "such a number"
    return f"{key or 'agents'!r} must be a {wanted}, not {value}"


@reads_foreign_text()
def _lines(text: str) -> dict[Place, int]:
    """Return the line of each key; tomllib gives none, so the text is scanned for tables and keys."""
    lines: dict[Place, int] = {}
    table: Place = ()
    agents = 0
    for number, line in enumerate(_TOKENS.sub(_without_text, text).split("\n"), 1):
        if _AGENT.match(line):
            table = ("agents", agents)
            agents += 1
            lines[table] = number
        elif other := _TABLE.match(line):
            table = tuple(other[1].split("."))
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, key[2]), number)
    return lines


def _without_text(token: re.Match[str]) -> str:
    """Blank out comments and texts of several lines, which may look like keys; the lines stay."""
    return token[0] if token[0][0] != "#" and token[0][:3] not in ('"""', "'''") else "\n" * token[0].count("\n")


def _line(lines: dict[Place, int], place: Place) -> int:
    """Return the line of a place, or of the nearest thing around it."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)
