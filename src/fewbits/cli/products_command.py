"""`fewbits products`: approximate multipliers, named or of a user's Verilog, and how far they are from exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fewbits.formats import Precision, ProductTable


def products(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE.v", help="One multiplier, such as truncated-6, or your circuit.")
    ] = None,
    precision: Annotated[str, typer.Option(help="Formats of weights and inputs, 8 bits at most.")] = "fixed8",
) -> None:
    """List approximate products, or tell the errors of one."""
    from fewbits.formats import parse_precision
    from fewbits.formats.approximation_kinds import APPROXIMATIONS
    from fewbits.formats.product_errors import product_errors

    if name is None:
        for kind in APPROXIMATIONS.values():
            typer.echo(f"{kind.pattern:<28} {kind.words}")
        typer.echo("fewbits products NAME --precision P tells the errors of one, or of your circuit: FILE.v.")
        return
    formats = parse_precision(precision)
    table, words, source = _table(name, formats)
    errors = product_errors(table)
    typer.echo(f"{table.name} of {formats.name}: {words}")
    if source is not None:
        typer.echo(f"source: {source}")
    typer.echo(
        f"mean absolute error  {errors.mean_absolute:.6g} ({100 * errors.mean_absolute_share:.4g} % of the range)"
    )
    typer.echo(f"worst case error     {errors.worst_case} ({100 * errors.worst_case_share:.4g} % of the range)")
    typer.echo(f"error probability    {100 * errors.probability:.4g} %")
    typer.echo(f"mean relative error  {100 * errors.mean_relative:.4g} %")
    typer.echo(f"bias                 {errors.bias:.6g}")


def _table(name: str, precision: Precision) -> tuple[ProductTable, str, str | None]:
    """The products of a named approximation or of any multiplier, words for it, and its source."""
    from fewbits.errors import FormatError
    from fewbits.formats.approximations import approximation, parse_approximation
    from fewbits.hardware.multipliers import multiplier_kind, product_table

    try:
        kind, parameters = parse_approximation(name)
    except FormatError as unnamed:
        from fewbits.hardware.multipliers.registry import is_named

        if not is_named(name):
            raise FormatError(f"{unnamed}; or a Verilog file, FILE.v, or ariths:NAME") from None
        return product_table(name, precision), multiplier_kind(name).words, None
    table = approximation(name, precision.weights, precision.inputs)
    return table, kind.words_for(*parameters), None if kind.source == "-" else kind.source
