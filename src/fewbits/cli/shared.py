"""The program and what its commands share: progress lines, lists behind a help, parsed shapes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from fewbits import __version__
from fewbits.errors import ModelError, StudyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

app = typer.Typer(
    name="fewbits",
    help="How few bits a neural network needs, and what each bit costs in silicon.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Multiplier = Annotated[
    str, typer.Option(metavar="NAME", help="How products are made: booth, array or operator, a * b.")
]
"""Of a datapath: the name of one of `hardware/multipliers/registry.py`."""

DEFAULT_MULTIPLIER = "booth"
"""As in `hardware/process/datapath_key.py`, which no command loads for its help."""


def listing(what: str, names: Callable[[], Iterable[str]]) -> type[TyperCommand]:
    """A command whose help ends with names; they and extensions are looked up only where that is printed."""

    class Listing(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            self.epilog = f"{what}: {', '.join(names())}."
            super().format_help(ctx, formatter)

    return Listing


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fewbits {__version__}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def progress_line(line: str) -> None:
    """Tell how far long work is, on standard error."""
    if "Executing" not in line:  # yosys names each of its hundred passes
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def refuse_unused_cluster(engine: str) -> None:
    """Raise StudyError where --cluster would change nothing."""
    if engine != "dask":
        raise StudyError(f"--cluster describes the workers of --engine dask, not of {engine!r}: give --engine dask too")


def image_shape(text: str | None) -> tuple[int, ...] | None:
    """The shape that --input gives, such as 3x32x32. Raises ModelError."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdecimal() and len(part) < 6 and 0 < int(part) < 65536 for part in parts) or len(parts) not in (
        1,
        2,
        3,
    ):
        raise ModelError(f"--input takes a shape such as 3x32x32, each size up to 65535, not {text!r}")
    return tuple(int(part) for part in parts)
