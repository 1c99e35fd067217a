"""`python -m graphs.cli` is the `podium` command."""

from graphs.cli.commands import main

main()
