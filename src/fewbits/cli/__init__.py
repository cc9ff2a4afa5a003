"""The command line: each command parses its arguments, calls the library and prints the answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

import fewbits
from fewbits.cli.accelerators_command import accelerators
from fewbits.cli.cost_command import cost
from fewbits.cli.hardware import characterize, formats, rtl
from fewbits.cli.products_command import products
from fewbits.cli.search_command import search
from fewbits.cli.shared import app, listing
from fewbits.cli.studies import export, report, run
from fewbits.exit_status import told

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "entry_point", "main"]


for command, names in (  # in the order of the help
    (run, listing("Recipes", lambda: fewbits.train.RECIPES)),
    (report, None),
    (formats, None),
    (products, None),
    (cost, None),
    (accelerators, None),
    (search, None),
    (rtl, None),
    (export, listing("Forms", lambda: fewbits.export.EXPORTERS)),
    (characterize, None),
):
    app.command(cls=names)(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    arguments: without the program's name; None takes the process's.
    """
    known = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    return told(lambda: _invoke(list(sys.argv[1:] if arguments is None else arguments)), known)


def _invoke(arguments: list[str]) -> None:
    """Parse and run one command. Typer's own way would turn Ctrl-C and closed pipes into bare exits."""
    command = typer.main.get_command(app)
    with command.make_context("fewbits", arguments) as context:
        command.invoke(context)


def entry_point() -> None:
    """The console command."""
    sys.exit(main())
