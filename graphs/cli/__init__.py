"""The `podium` command."""

from graphs.cli.commands import command, main

__all__ = ["command", "main"]
