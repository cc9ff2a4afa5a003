"""RTLIL to Verilog for people and their tools: plain names, operands of equal width, a header for each module.

Yosys writes what Amaranth named, escaped dots and dollars among it, and leaves the extension of operands to
Verilog's rules, which linters warn of.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fewbits import __version__

_FLATTEN = """read_rtlil given.il
hierarchy -check -top {top}
proc
setattr -mod -set keep_hierarchy 1 {modules}
flatten
opt_clean -purge
setattr -unset init w:*
write_rtlil flat.il
"""

_WRITE = """read_rtlil plain.il
{}write_verilog -noattr -decimal whole.v
"""

MANY_TOPS = "/* verilator lint_off MULTITOP */  // may stand beside other designs and benches\n"
"""In each file: several of them may be linted together."""

_WORDS = "/* verilator lint_off UNOPTFLAT */  // bits of a word may depend on others of it; there is no loop\n"
"""Words of an array multiplier's carry-save adders do; yosys' `check` would find a loop of bits."""

_EXTENDED = ("add", "sub", "and", "or", "xor", "xnor", "mul", "not", "neg", "pos")
"""Cells whose result's bits depend on no higher bits of the operands: these take the result's width."""

_COMPARED = ("lt", "le", "eq", "ne", "ge", "gt")
"""Cells whose operands take the wider one's width."""

_SHIFTED = ("shl", "sshl")
"""Cells whose first operand takes the result's width, where it is narrower."""


CLOCK_PORT = {"clk": "clock; all registers take their inputs at its rising edge"}
"""Of every module with registers, as its header has it."""


@dataclass(frozen=True)
class Header:
    """Of one module."""

    about: str
    ports: Mapping[str, str]
    """What each port means, by its name in Verilog."""

    constants: Mapping[str, int] = field(default_factory=dict[str, int])
    """What it was made for: widths, counts and latencies, by the name of a local parameter."""

    def comment(self, name: str) -> str:
        """The comment in front of the module."""
        width = max(map(len, self.ports))
        lines = textwrap.wrap(f"{name}: {self.about}", 116)
        for port, meaning in self.ports.items():
            lines += textwrap.wrap(
                f"  {port:<{width}}  {meaning}", 116, subsequent_indent=" " * (width + 4), break_on_hyphens=False
            )
        return "".join(f"// {line}\n" for line in lines)


def module_prefix(design_name: str) -> str:
    """What the names of a design's modules begin with: `pow2_6_fixed16` of `pow2-6/fixed16`."""
    return re.sub(r"\W+", "_", design_name)


def verilog_file(*modules: str) -> str:
    """A file of modules that `to_verilog` made."""
    return f"// Made by fewbits {__version__} with Amaranth and Yosys.\n{MANY_TOPS}{_WORDS}\n" + "\n".join(modules)


def to_verilog(
    rtlil: str, headers: Mapping[str, Header], prefix: str, left_out: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, str]:
    """Verilog of a circuit's modules by their name in RTLIL, each named `prefix_NAME`.

    headers: of the modules to write, the top first; those that have none become part of the ones that hold them.
    left_out: modules that are written elsewhere, each with the ports to connect: their names there, by those in RTLIL.
    Registers have no initial values.
    Raises HardwareError if yosys fails.
    """
    from fewbits.hardware.mapping.synthesis import run_yosys  # late: whoever writes a header reads no library of cells

    elsewhere = left_out or {}
    modules = (*headers, *elsewhere)
    with tempfile.TemporaryDirectory(prefix="fewbits-verilog-") as name:
        folder = Path(name)
        (folder / "given.il").write_text(rtlil, encoding="utf-8")
        (folder / "flatten.ys").write_text(_FLATTEN.format(top=modules[0], modules=" ".join(modules)), encoding="utf-8")
        run_yosys(folder, "flatten.ys")
        flat = (folder / "flat.il").read_text(encoding="utf-8")
        for module, ports in elsewhere.items():
            flat = _with_ports(flat, module, ports)
        new_names = {module: f"{prefix}_{module.rpartition('.')[2]}" for module in modules}
        (folder / "plain.il").write_text(_equal_widths(_renamed_modules(flat, new_names)), encoding="utf-8")
        unwritten = " ".join(new_names[module] for module in elsewhere)
        (folder / "write.ys").write_text(_WRITE.format(f"delete {unwritten}\n" if unwritten else ""), encoding="utf-8")
        run_yosys(folder, "write.ys")
        whole = plain_names((folder / "whole.v").read_text(encoding="utf-8"))
    return {
        module: _with_header(_module(whole, new_names[module]), new_names[module], header)
        for module, header in headers.items()
    }


def _renamed_modules(rtlil: str, new_names: Mapping[str, str]) -> str:
    def renamed(found: re.Match[str]) -> str:
        return found[1] + new_names.get(found[2], found[2]) + found[3]

    return re.sub(r"(?m)^(module \\|  cell \\)(\S+)(.*)$", renamed, rtlil)


def _with_ports(rtlil: str, module: str, ports: Mapping[str, str]) -> str:
    """The same circuit, where instances of a module have other names of ports, and just those."""

    def renamed(connection: re.Match[str]) -> str:
        return f"    connect \\{ports[connection[1]]} {connection[2]}\n" if connection[1] in ports else ""

    def instance(found: re.Match[str]) -> str:
        return re.sub(r"(?m)^    connect \\(\S+) (.*)\n", renamed, found[0])

    return re.sub(rf"(?ms)^  cell \\{re.escape(module)} .*?^  end$", instance, rtlil)


def _equal_widths(rtlil: str) -> str:
    """The same circuit, where operands have the width that their cell works at."""
    return re.sub(r"(?ms)^  cell \$(\w+) .*?^  end$", _fitted, rtlil)


def _fitted(found: re.Match[str]) -> str:
    kind, cell = found[1], found[0]
    widths = {port: int(bits) for port, bits in re.findall(r"parameter \\([ABY])_WIDTH (\d+)", cell)}
    if kind == "logic_not" and widths["A"] > 1:  # an equality with zero
        zeros = f"    connect \\B {widths['A']}'{'0' * widths['A']}\n"
        parameters = f"    parameter \\B_SIGNED 0\n    parameter \\B_WIDTH {widths['A']}\n"
        return cell.replace("$logic_not", "$eq", 1).replace(
            "    connect \\A ", f"{parameters}{zeros}    connect \\A ", 1
        )
    if kind in _EXTENDED:
        wanted = dict.fromkeys(widths.keys() - {"Y"}, widths["Y"])
    elif kind in _COMPARED:
        wanted = dict.fromkeys("AB", max(widths["A"], widths["B"]))
    elif kind in _SHIFTED:
        wanted = {"A": max(widths["A"], widths["Y"])}
    else:
        return cell
    for port, width in wanted.items():
        cell = _resized(cell, port, widths[port], width)
    return cell


def _resized(cell: str, port: str, given: int, wanted: int) -> str:
    """A cell whose operand is extended by zeros or its sign, or cut off above."""
    if given == wanted:
        return cell
    signed = f"parameter \\{port}_SIGNED 1" in cell

    def operand(found: re.Match[str]) -> str:
        value = found[1]
        if wanted < given:
            return f"connect \\{port} {value} [{wanted - 1}:0]"
        more = wanted - given
        above = " ".join([f"{value} [{given - 1}]"] * more) if signed else f"{more}'{'0' * more}"
        return f"connect \\{port} {{ {above} {value} }}"

    cell = re.sub(rf"connect \\{port} (.*)", operand, cell, count=1)
    return cell.replace(f"parameter \\{port}_WIDTH {given}", f"parameter \\{port}_WIDTH {wanted}", 1)


def plain_names(verilog: str) -> str:
    """The same Verilog with no escaped identifiers: `store.left` becomes `store_left`, keywords get an ending."""
    taken = set(re.findall(r"\b[A-Za-z_]\w*", re.sub(r"\\\S+ ", "", verilog)))
    names: dict[str, str] = {}
    for name in dict.fromkeys(re.findall(r"\\(\S+) ", verilog)):
        wanted = re.sub(r"\W+|_*\$_*", "_", name).strip("_")
        wanted = f"{name}_value" if wanted == name else wanted  # a keyword
        names[name] = next(other for other in _numbered(wanted) if other not in taken)
        taken.add(names[name])
    return re.sub(r"\\(\S+) ", lambda found: names[found[1]], verilog)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _module(verilog: str, name: str) -> str:
    found = re.search(rf"(?ms)^module {name}\(.*?^endmodule\n", verilog)
    assert found is not None, name
    return found[0]


def _with_header(module: str, name: str, header: Header) -> str:
    """A comment in front, and what the module was made for as parameters of it."""
    constants = "".join(f"  localparam {constant} = {value};\n" for constant, value in header.constants.items())
    return header.comment(name) + re.sub(r"\);\n", f");\n{constants}", module, count=1)
