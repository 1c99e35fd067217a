"""The `podium` command.

commands    every command, the rest is loaded when one runs; options: what commands share; signals: Ctrl-C, and the end

A run: start -> run_spec -> run
start       from a request to a graph at work
run_spec    everything that a run is built from, stored beside it
run         a run for a person: live, then answer, verdict, open questions, timeline, JSON
output      all that is printed; exit_codes
questions   questions to people, answered in writing or at the terminal

Other commands
runs        stored runs: lists, one of them, pages, questions, pruning, going on with one or a copy of it
queued      the queue's runs and workers
evaluate    `podium eval`
models      `podium model`
project     `podium new`
"""

import gc
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["command", "main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code."""
    from graphs.cli.signals import catch_signals, leave

    gc.set_threshold(100_000, 50, 50)  # what is imported stays, and looking through it takes time
    catch_signals()  # before anything is loaded that takes its time
    leave(command(arguments))


def command(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    from graphs.cli import commands

    return commands.dispatch(arguments)
