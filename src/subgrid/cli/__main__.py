"""`python -m subgrid.cli` is `subgrid`."""

from subgrid.cli.commands import main

main()
