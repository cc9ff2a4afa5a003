"""`fewbits products`: approximate multipliers by name, and how far their products are from exact ones."""

from __future__ import annotations

from typing import Annotated

import typer


def products(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One approximation, such as truncated-6.")] = None,
    precision: Annotated[str, typer.Option(help="Formats of weights and inputs, 8 bits at most.")] = "fixed8",
) -> None:
    """List approximate products, or tell the errors of one."""
    from fewbits.formats import parse_precision
    from fewbits.formats.approximation_kinds import APPROXIMATIONS
    from fewbits.formats.approximations import approximation, parse_approximation
    from fewbits.formats.product_errors import product_errors

    if name is None:
        for kind in APPROXIMATIONS.values():
            typer.echo(f"{kind.pattern:<28} {kind.words}")
        typer.echo("fewbits products NAME --precision P tells the errors of one; docs/approximate.md has the sources.")
        return
    formats = parse_precision(precision)
    errors = product_errors(approximation(name, formats.weights, formats.inputs))
    kind, _ = parse_approximation(name)
    typer.echo(f"{name} of {formats.name}: {kind.words}")
    if kind.source != "-":
        typer.echo(f"source: {kind.source}")
    typer.echo(
        f"mean absolute error  {errors.mean_absolute:.6g} ({100 * errors.mean_absolute_share:.4g} % of the range)"
    )
    typer.echo(f"worst case error     {errors.worst_case} ({100 * errors.worst_case_share:.4g} % of the range)")
    typer.echo(f"error probability    {100 * errors.probability:.4g} %")
    typer.echo(f"mean relative error  {100 * errors.mean_relative:.4g} %")
    typer.echo(f"bias                 {errors.bias:.6g}")
