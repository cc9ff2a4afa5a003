"""A compiled netlist as structural Verilog of the library's cells, with the RTL's names for module and ports."""

from __future__ import annotations

from dataclasses import replace

from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, net_names, structural_verilog


def with_ports(netlist: CompiledNetlist, module: str, ports: dict[str, str]) -> CompiledNetlist:
    """The same netlist under another name, with other names of ports. ports: new names by old ones."""
    model = netlist.model
    renamed = {ports.get(name, name): port for name, port in model.ports.items()}
    return replace(netlist, model=replace(model, name=module, ports=renamed))


def mapped_verilog(netlist: CompiledNetlist) -> str:
    """The module; cells are named by their component and number: `adder_tree_17`."""
    model = netlist.model
    cells = (
        (block.kind.name, f"{netlist.component_names[netlist.components[number]]}_{number}", block.kind.pins, row)
        for block in model.blocks
        for number, row in zip(block.cells.tolist(), block.nets, strict=True)
    )
    return structural_verilog(model.name, model.ports, model.net_count, cells)


def named_nets(netlist: CompiledNetlist) -> dict[str, int]:
    """The nets by their name in that Verilog, constants apart."""
    names = net_names(netlist.model.ports, netlist.model.net_count)
    return {name: net for net, name in enumerate(names) if net > CONSTANT_ONE}
