"""`python -m graphs.cli` is the `podium` command."""

from graphs.cli import main

main()
