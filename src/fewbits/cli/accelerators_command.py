"""The command `accelerators`: lists the machines that have a name, and draws one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbits.exit_status import complain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fewbits.hardware import AnyAccelerator

_PLAIN = str.maketrans("─│┌┐└┘├┤┬┴┼►◄\u00d7⋯⋮", "-|+++++++++><x.:")
"""The drawing in letters that every terminal has."""


def accelerators(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE", help="One accelerator: a name, or a TOML file.")
    ] = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print it as TOML, to start one's own from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the accelerators, or draw one."""
    from fewbits.errors import HardwareError
    from fewbits.hardware.dataflow.loops.drawing import columns, drawing
    from fewbits.hardware.dataflow.registry import accelerator_named, dataflow_of, definition_of
    from fewbits.hardware.dataflow.registry import accelerators as all_of_them
    from fewbits.hardware.dataflow.toml_text import toml_text

    if as_toml and (as_json or name is None):
        raise HardwareError("--toml prints one accelerator: give its name or file, and no --json")
    if name is None:
        listed = list(all_of_them())
        if as_json:
            typer.echo(json.dumps([_as_json(one.name, one.accelerator) for one in listed if one.accelerator]))
        else:
            head = ("accelerator", "multipliers", "MHz", "dataflow", "source")
            rows = [_row(one.name, one.accelerator) for one in listed if one.accelerator is not None]
            _print(columns([head, *rows]))
            typer.echo("Draw one by its name or file; sizes may stand in a name, such as diannao-32x16.")
        for one in listed:
            if one.problem:
                complain(one.problem)
        return
    made = accelerator_named(name)
    if as_json:
        typer.echo(json.dumps(_as_json(name, made)))
        return
    if as_toml:
        typer.echo(toml_text(definition_of(made)), nl=False)
        return
    dataflow = dataflow_of(made)
    described = dataflow.describe(made)
    if described is None:
        _print([f"{name}: {dataflow.products_per_cycle(made):,} products a cycle, dataflow {made.dataflow}"])
        _print(f"  {key} = {value}" for key, value in made.definition().items())
        _print([dataflow.area_basis(made)])
        return
    _print(drawing(described, getattr(made, "name", "") or name, made.dataflow))


def chosen(
    names: Sequence[str], sizes: Mapping[str, int | None], clock_mhz: float | None, bandwidth: float | None
) -> list[tuple[str, AnyAccelerator]]:
    """Accelerators by name or file, with the sizes that the command line gives.

    sizes: by option, `neurons`, `synapses` and `rows`. Raises HardwareError for one that the dataflow does not have.
    """
    from fewbits.errors import HardwareError
    from fewbits.hardware.dataflow.registry import accelerator_named

    for number, name in enumerate(names):
        if name in names[:number]:
            raise HardwareError(f"--accelerator {name!r} is given twice; give each once")
    return [(name, sized(name, accelerator_named(name), sizes, clock_mhz, bandwidth)) for name in names]


def chosen_tile(
    target_mhz: float, sizes: Mapping[str, int | None], clock_mhz: float | None, bandwidth: float | None
) -> AnyAccelerator:
    """DianNao's tile, where no accelerator is named; its clock is the technology's. Else as `chosen`."""
    from fewbits.hardware import Accelerator

    return sized("diannao", Accelerator(clock_mhz=target_mhz), sizes, clock_mhz, bandwidth)


def sized(
    name: str,
    accelerator: AnyAccelerator,
    sizes: Mapping[str, int | None],
    clock_mhz: float | None = None,
    bandwidth: float | None = None,
) -> AnyAccelerator:
    """An accelerator with the sizes that the command line gives; as `chosen`."""
    from fewbits.errors import HardwareError
    from fewbits.hardware.dataflow.registry import dataflow_of, with_sizes

    fields = dataflow_of(accelerator).options
    given = {option: size for option, size in sizes.items() if size is not None}
    for option in given:
        if option not in fields:
            has = (
                ", ".join(f"--{one}" for one in fields) or "sizes in its name, such as systolic-os-32x32, or in a file"
            )
            raise HardwareError(
                f"--{option}: the accelerator {name!r}, of the dataflow {accelerator.dataflow!r}, has no such size; it "
                f"has {has}"
            )
    changed: dict[str, Any] = {fields[option]: size for option, size in given.items()}
    changed |= {} if clock_mhz is None else {"clock_mhz": clock_mhz}
    changed |= {} if bandwidth is None else {"bandwidth": bandwidth}
    return with_sizes(accelerator, changed) if changed else accelerator


def _print(lines: Iterable[str]) -> None:
    """Lines, in plain letters where the terminal has no others."""
    for line in lines:
        try:
            line.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            line = line.translate(_PLAIN).encode("ascii", "replace").decode()
        typer.echo(line)


def _row(name: str, accelerator: AnyAccelerator) -> tuple[str, ...]:
    about = _as_json(name, accelerator)
    source = about["source"] if len(about["source"]) <= 60 else f"{about['source'][:57]}..."
    marked = f"{source} (unverified in part)" if about["unverified"] else source
    return (name, f"{about['multipliers']:,}", f"{about['clock_mhz']:g}", about["dataflow"], marked)


def _as_json(name: str, accelerator: AnyAccelerator) -> dict[str, Any]:
    from fewbits.hardware.dataflow.registry import dataflow_of, definition_of

    dataflow = dataflow_of(accelerator)
    described = dataflow.describe(accelerator)
    return {
        "name": name,
        "dataflow": accelerator.dataflow,
        "multipliers": dataflow.products_per_cycle(accelerator),
        "clock_mhz": accelerator.clock_mhz,
        "bandwidth_gb_s": accelerator.bandwidth,
        "source": "" if described is None else described.source,
        "unverified": "" if described is None else described.unverified,
        "definition": definition_of(accelerator),
    }
