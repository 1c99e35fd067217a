"""The `podium` command.

commands      requests, `draw`, `team`, `model`; runs, report: stored runs
start         storage, model and graph of a run; recipe: how another process builds the same graph
run           a run for a person; background: its signals; outcome: its answer and exit code
questions     questions in the terminal
"""

from graphs.cli.commands import command, main

__all__ = ["command", "main"]
