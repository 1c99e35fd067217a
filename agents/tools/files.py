"""Reading for agents: the text files below one folder, and nothing else."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import Field

from agents.checks import names_files
from agents.errors import ConfigurationError
from agents.tools.readable_tool import readable_tool

MAX_FILE_BYTES = 5_000_000
"""Larger files are neither read nor searched."""
MAX_SEARCH_BYTES = 100_000_000
"""Bytes that one search reads in all."""
MAX_OUTPUT = 12_000
"""Characters of file text in one reply."""
MAX_NAMED = 5
"""Files that are read at once because a task names them."""
MAX_LISTED = 200
MAX_MATCHES = 50
MAX_LINE = 200
"""Characters shown of a line that matches."""
_FILE_NAME = re.compile(r"[\w/-][\w./-]{0,200}\.\w{1,10}\b")
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})


class Folder:
    """The text files below one folder, and nothing else.

    A path is resolved first and judged then, so links and `..` lead nowhere else. Hidden files and folders (`.env`,
    `.git`) do not exist here: they hold secrets more often than answers.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise ConfigurationError(f"The folder for file tools does not exist: {root}")
        here = Path.cwd()
        inside = self.root.relative_to(here) if self.root.is_relative_to(here) else self.root
        if any(part.startswith(".") for part in inside.parts):
            raise ConfigurationError(f"The folder for file tools is hidden, or inside of a hidden one: {root}")

    def list_files(
        self, path: Annotated[str, Field(description="A folder; empty for all files", max_length=300)] = ""
    ) -> str:
        """List the names of the available files, also those in sub-folders."""
        names: list[str] = []
        for file in self._files(self._inside(path)):
            if len(names) == MAX_LISTED:
                names.append(f"... and more; give a folder to see its files. Only {MAX_LISTED} are shown.")
                break
            names.append(self._name(file))
        return "\n".join(names) or "The folder is empty."

    def read_file(
        self,
        path: Annotated[str, Field(description="A file's name as list_files gives it", max_length=300)],
        start_line: Annotated[int, "The first line to read, from 1"] = 1,
    ) -> str:
        """Read a text file; a long one in parts, which start at start_line."""
        lines = self._text(self._inside(path)).splitlines(keepends=True)
        if start_line < 1 or start_line > max(1, len(lines)):
            raise ToolException(f"{path!r} has {len(lines)} lines; start_line {start_line} is not one of them.")
        part, number = "", start_line
        for number, line in enumerate(lines[start_line - 1 :], start_line):  # noqa: B007 - used after the loop
            if len(part) + len(line) > MAX_OUTPUT:
                break
            part += line
        else:
            return part or "The file is empty."
        if not part:  # one line longer than a reply: its start, and on with the next
            part, number = lines[number - 1][:MAX_OUTPUT] + " ... (the rest of this line is left out)\n", number + 1
        return f"{part}... ({len(lines)} lines in all; go on with start_line={number})"

    def search_files(
        self,
        text: Annotated[str, Field(description="Words to look for, in any case of letters", max_length=300)],
        path: Annotated[str, Field(description="A folder or file; empty for all files", max_length=300)] = "",
    ) -> str:
        """Find the lines of the available files that contain a text; gives file:line: text."""
        if not (wanted := text.strip().casefold()):
            raise ToolException("Give a text to look for.")
        matches: list[str] = []
        left = MAX_SEARCH_BYTES
        for file in self._files(self._inside(path)):
            left -= file.stat().st_size
            if left < 0:
                return "\n".join([*matches, "... There is more text than one search reads; give a folder or a file."])
            for number, line in self._lines_with(wanted, file):
                matches.append(f"{self._name(file)}:{number}: {line}")
                if len(matches) == MAX_MATCHES:
                    return "\n".join([*matches, f"... Only the first {MAX_MATCHES} are shown; look for more words."])
        return "\n".join(matches) or f"No file contains {text!r}. Try one word of it, or list_files."

    def named_in(self, text: str) -> list[dict[str, str]]:
        """Return the arguments of `read_file` for each file that a text names, as it is called here."""
        names = dict.fromkeys(match[0] for match in _FILE_NAME.finditer(text[:MAX_OUTPUT]))
        return [{"path": name} for name in names if (file := self._found(name)) and file.is_file()][:MAX_NAMED]

    def _inside(self, path: str) -> Path:
        if file := self._found(path):
            return file
        raise ToolException(f"{path!r} does not exist here. Use a name as list_files gives it.")

    def _found(self, path: str) -> Path | None:
        try:
            file = (self.root / path.strip()).resolve()
            is_hidden = any(part.startswith(".") for part in file.relative_to(self.root).parts)
            return file if not is_hidden and file.exists() else None
        except (ValueError, OSError, RuntimeError):  # outside; a NUL or too long a name; a loop of links
            return None

    def _files(self, start: Path) -> Iterator[Path]:
        if start.is_file():
            yield start
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if name[0] != "." and name not in SKIPPED_FOLDERS)
            for name in sorted(names):
                if name[0] != "." and (file := self._found(str(Path(folder, name)))) and file.is_file():
                    yield Path(folder, name)

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix().encode(errors="replace").decode()

    def _text(self, file: Path) -> str:
        if not file.is_file():  # a folder, a pipe, a device
            raise ToolException(f"{self._name(file)!r} is not a file; list_files shows the files in a folder.")
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ToolException(f"{self._name(file)!r} cannot be read: {error.strerror}.") from error
        if len(content) > MAX_FILE_BYTES:
            raise ToolException(f"{self._name(file)!r} is too large; only files up to 5 MB are read.")
        if b"\0" in content:
            raise ToolException(f"{self._name(file)!r} is a binary file; only text files can be read.")
        return content.decode("utf-8-sig", errors="replace")

    def _lines_with(self, wanted: str, file: Path) -> Iterator[tuple[int, str]]:
        try:
            lines = self._text(file).splitlines()
        except ToolException:
            return
        for number, line in enumerate(lines, 1):
            at = line.casefold().find(wanted)
            if at >= 0:
                start = max(0, at - MAX_LINE // 2)
                yield number, line[start : start + MAX_LINE].strip()


def file_tools(folder: Path | str) -> list[BaseTool]:
    """Return tools to list, read and search text files below `folder`, which must exist; hidden ones are refused."""
    files = Folder(folder)
    named: dict[str, Any] = {"named_in": files.named_in}
    return [
        readable_tool(function, task, example_arguments=arguments, wanted=names_files, **more)
        for function, task, arguments, more in (
            (files.list_files, "Which documents are there?", {}, {}),
            (files.read_file, "Sum up what guarantee.txt says.", {"path": "guarantee.txt"}, named),
            (files.search_files, "Which of my notes mention the Lisbon trip?", {"text": "Lisbon"}, {}),
        )
    ]
