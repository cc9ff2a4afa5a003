"""Multipliers from Verilog files: read in a sandbox, simulated for every pair, refused in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_neuron import assert_equals_vectors

from fewbits.errors import HardwareError
from fewbits.formats import ProductTable, parse_precision
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.simulation import Simulator
from fewbits.hardware.mapping.synthesis import Sandbox, run_yosys
from fewbits.hardware.multipliers import multiplier_kind, product_table
from fewbits.hardware.multipliers.alone import simulated_products
from fewbits.hardware.multipliers.gate_circuit import GATES, truth_table

CIRCUITS = Path(__file__).parent / "circuits"

ERRORS = {
    "1KV8": 0.0, "1KVA": 0.0018, "1KVB": 0.0064, "1KR6": 0.051, "1L2H": 0.081, "1L2D": 0.23, "1L1G": 0.52, "1KR3": 3.1,
}  # fmt: skip
"""Mean absolute error in percent of 2**16, by the files' headers."""

FIXED8 = parse_precision("fixed8")
EXACT = ProductTable.exact(FIXED8.weights, FIXED8.inputs)

SIGNED = "input signed [7:0] a, input signed [7:0] b, output signed [15:0] p"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("fewbits.hardware.multipliers.given._folder", lambda: tmp_path / "cache")  # yosys keeps its own


def written(folder: Path, text: str, name: str = "mine.v") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("part", ["1KR6", *(pytest.param(one, marks=pytest.mark.slow) for one in ("1KV8", "1KR3"))])
def test_the_error_of_a_published_circuit_is_its_headers(part: str):
    table = product_table(str(CIRCUITS / f"mul8s_{part}.v"), "fixed8")
    error = 100 * np.abs(table.values.astype(int) - EXACT.values).mean() / 2**16
    assert error == pytest.approx(ERRORS[part], rel=0.05, abs=1e-9)


def test_a_table_is_what_icarus_simulates(tmp_path: Path):
    bench = """module bench; reg [7:0] a, b; wire [15:0] p; integer i; mul8s_1L1G dut(a, b, p);
    initial for (i = 0; i < 65536; i = i + 1) begin {a, b} = i; #1 $display("%0d", $signed(p)); end endmodule"""
    (tmp_path / "bench.v").write_text(bench)
    circuit = CIRCUITS / "mul8s_1L1G.v"
    subprocess.run(["iverilog", "-g2012", "-o", "bench", "bench.v", str(circuit)], cwd=tmp_path, check=True)
    seen = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    products = np.array(seen.split(), np.int64).reshape(256, 256)
    assert np.array_equal(products, product_table(str(circuit), "fixed8").values)


def test_an_exact_behavioural_multiplier_gives_the_exact_table(tmp_path: Path):
    assert product_table(written(tmp_path, f"module m({SIGNED}); assign p = a * b; endmodule"), "fixed8") == EXACT


def test_the_first_input_takes_the_weight(tmp_path: Path):
    text = "module m(input signed [3:0] z, input signed [7:0] a, output signed [11:0] p); assign p = z * 2; endmodule"
    table = product_table(written(tmp_path, text), "fixed4/fixed8")
    assert table.values[3, 200] == 6
    assert table.values[15, 0] == -2


def test_a_narrow_output_is_extended_by_its_sign(tmp_path: Path):
    text = "module m(input signed [3:0] a, input signed [3:0] b, output signed [4:0] p); assign p = a + b; endmodule"
    table = product_table(written(tmp_path, text), "fixed4")
    assert table.limits == (-16, 14)


def test_a_mapped_netlist_of_the_shipped_cells_is_read(tmp_path: Path):
    ports = "input [1:0] a, input [1:0] b, output [3:0] p"
    text = f"""module m({ports}); sg13g2_and2_1 u(.A(a[0]), .B(b[0]), .X(p[0]));
    sg13g2_inv_1 v(.A(p[0]), .Y(p[1])); assign p[3:2] = 0; endmodule"""
    table = product_table(written(tmp_path, text), "fixed2")
    assert table.values[1, 1] == 1
    assert table.values[1, 2] == 2


def test_a_neuron_sums_the_products_of_a_users_circuit():
    assert_equals_vectors(Simulator(design("fixed8", multiplier=str(CIRCUITS / "mul8s_1L2H.v"))))


def test_the_circuit_in_the_datapath_is_the_one_that_was_read():
    kind = multiplier_kind(str(CIRCUITS / "mul8s_1KR6.v"))
    assert np.array_equal(simulated_products(kind, FIXED8), product_table(kind.name, FIXED8).values)


def test_a_circuit_is_known_by_name_once_it_was_read(tmp_path: Path):
    name = multiplier_kind(written(tmp_path, f"module known({SIGNED}); assign p = a * b; endmodule")).name
    assert name.startswith("known-")
    assert product_table(name, "fixed8") == EXACT


def test_a_damaged_cache_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path, f"module damaged({SIGNED}); assign p = a * b; endmodule")
    monkeypatch.setattr("fewbits.hardware.multipliers.given._known", {})
    multiplier_kind(path)
    (kept,) = (tmp_path / "cache").glob("*.json")
    for damage in ("[" * 10_000, kept.read_text().replace('"AND"', '"NONE"')):
        kept.write_text(damage)
        monkeypatch.setattr("fewbits.hardware.multipliers.given._known", {})
        assert product_table(path, "fixed8") == EXACT


REFUSED = {
    "state": ("module m(input clk, input [7:0] a, b, output reg [15:0] p); always @(posedge clk) p <= a * b; endmodule",
              "holds state .16 flip-flops"),
    "latches": (f"module m({SIGNED.replace('output', 'output reg')}); always @* if (a[0]) p = a * b; endmodule",
                "holds state"),
    "loop": (f"module m({SIGNED}); wire x; assign x = ~(x & a[0]); assign p = (a * b) ^ x; endmodule",
             "combinational loop"),
    "two tops": (f"module m({SIGNED}); assign p = 0; endmodule module n({SIGNED}); assign p = 0; endmodule",
                 "several modules .* m, n: choose one as FILE.v:MODULE"),
    "circle": ("module m(input a); n u(a); endmodule module n(input a); m u(a); endmodule", "no module that is not"),
    "empty": ("", "no module"),
    "a third input": ("module m(input [7:0] a, b, input c, output [15:0] p); assign p = a * b + c; endmodule",
                      "two inputs"),
    "other widths": ("module m(input [5:0] a, input [7:0] b, output [13:0] p); assign p = a * b; endmodule",
                     "a of 6 bits and b of 8"),
    "unsigned": ("module m(input [7:0] a, b, output [15:0] p); assign p = a * b; endmodule",
                 "multiplies unsigned numbers .*needs a signed multiplier"),
    "too large products": (f"module m({SIGNED.replace('15:0', '19:0')}); assign p = a * b * 8; endmodule",
                           "beyond the 16 bits"),
    "a wide output": (f"module m({SIGNED.replace('15:0', '40:0')}); assign p = a * b; endmodule", "output of 41 bits"),
    "undriven": (f"module m({SIGNED}); assign p[14:0] = a * b; endmodule", "nothing drives bit 15"),
    "unknown cell": (f"module m({SIGNED}); foo u(a, b, p); endmodule", "module m holds a foo"),
    "unknown library cell": (f"module m({SIGNED}); sky130_and u(a, b, p); endmodule", "holds a sky130_and"),
    "syntax": (f"module m({SIGNED});\n assign p = a **;\nendmodule", "line 2: syntax error"),
    "a file of the machine": (f'module m({SIGNED}); reg [7:0] q [0:255]; initial $readmemh("/etc/passwd", q);\n'
                              "assign p = q[a] * b; endmodule", "Can not open file `/etc/passwd`"),
    "an include": ('`include "/etc/passwd"\nmodule m(input a); endmodule', "Can't open include file"),
    "binary": ("\0\0\0", "binary file"),
    "too long": ("// " + "a" * (1 << 20), "larger than 1 MiB"),
    "a large multiplier": ("module m(input [63:0] a, b, output [127:0] p); assign p = a * b; endmodule",
                           "gates, 20000 at most|64 bits"),
}  # fmt: skip


@pytest.mark.parametrize(
    "what",
    [pytest.param(one, marks=pytest.mark.slow) if one == "a large multiplier" else one for one in REFUSED],
)
def test_what_is_no_multiplier_is_refused_in_one_line(what: str, tmp_path: Path):
    text, words = REFUSED[what]
    with pytest.raises(HardwareError, match=words) as refused:
        product_table(written(tmp_path, text), "fixed8")
    assert "\n" not in str(refused.value)
    assert "/tmp/fewbits" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.v", "No such file"),
        ("mine.v:other", "no module 'other', only m"),
        ("mine.v:", "no module ''"),
        ("mine.v:m; shell", "no module 'm; shell'"),
        ("folder.v", "Is a directory"),
        ("mul8s-00000000", "was not read on this machine"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, f"module m({SIGNED}); assign p = a * b; endmodule")
    (tmp_path / "folder.v").mkdir()
    with pytest.raises(HardwareError, match=words):
        product_table(name, "fixed8")


def test_a_module_of_several_can_be_chosen(tmp_path: Path):
    text = f"module m({SIGNED}); assign p = a; endmodule module n({SIGNED}); assign p = a * b; endmodule"
    assert product_table(written(tmp_path, text) + ":n", "fixed8") == EXACT


def test_yosys_is_ended_after_its_time(tmp_path: Path):
    text = f"module m({SIGNED}); wire [15:0] t [0:9999999]; genvar i;\n"
    text += "generate for (i = 0; i < 10000000; i = i + 1) begin assign t[i] = a * b + i; end endgenerate endmodule"
    (tmp_path / "bomb.v").write_text(text)
    (tmp_path / "read.ys").write_text("read_verilog /given/bomb.v\nhierarchy -auto-top\nproc\n")
    with pytest.raises(HardwareError, match=r"did not end within 0\.3 s"):
        run_yosys(tmp_path, "read.ys", sandbox=Sandbox(0.3, 1 << 30))


@pytest.mark.parametrize("kind", list(GATES))
def test_a_gates_table_is_that_of_yosys_names(kind: str):
    expected = {
        "BUF": 0b10, "NOT": 0b01, "AND": 0b1000, "NAND": 0b0111, "OR": 0b1110, "NOR": 0b0001, "XOR": 0b0110,
        "XNOR": 0b1001, "ANDNOT": 0b0010, "ORNOT": 0b1011, "MUX": 0b11001010, "NMUX": 0b00110101,
        "AOI3": 0b00000111, "OAI3": 0b00011111, "AOI4": 0b0000011101110111, "OAI4": 0b0001000100011111 | 0,
    }  # fmt: skip
    if kind == "OAI4":  # (A | B) & (C | D) is zero in rows without A and B, or without C and D
        rows = [not ((row & 3) and (row & 12)) for row in range(16)]
        expected[kind] = sum(value << row for row, value in enumerate(rows))
    assert truth_table(kind) == expected[kind]


@pytest.mark.parametrize(
    "name",
    ["s_dadda8", *(pytest.param(one, marks=pytest.mark.slow) for one in ("s_wallace8", "s_arrmul8", "s_csamul8"))],
)
def test_signed_multipliers_of_ariths_gen_are_exact(name: str):
    pytest.importorskip("ariths_gen", reason="needs ariths-gen, the extra 'approximate'")
    assert product_table(f"ariths:{name}", "fixed8") == EXACT


@pytest.mark.parametrize("name", ["s_dadda", "s_dadda99", "u_bam8", "", "../x8"])
def test_what_ariths_gen_does_not_generate_is_refused(name: str):
    with pytest.raises(HardwareError, match="no generated multiplier"):
        product_table(f"ariths:{name}", "fixed8")


@settings(max_examples=3, deadline=None)
@given(st.lists(st.sampled_from(["&", "|", "^", "~^", "+", "-", "*"]), min_size=3, max_size=3))
def test_any_expression_is_simulated_as_its_integers(operations: list[str]):
    from fewbits.hardware.multipliers.given import circuit_from

    first, second, third = operations
    text = f"""module m(input [2:0] a, input [2:0] b, output [5:0] p);
    wire [5:0] x = a {first} b; wire [5:0] y = x {second} a; assign p = y {third} b; endmodule"""
    python = {"~^": lambda a, b: ~(a ^ b)}

    def value(name: str, a: int, b: int) -> int:
        if name in python:
            return python[name](a, b) & 63
        made = {"&": a & b, "|": a | b, "^": a ^ b, "+": a + b, "-": a - b, "*": a * b}
        return made[name] & 63

    found = circuit_from(text).circuit.outputs
    for a in range(8):
        for b in range(8):
            assert found[a, b] == value(third, value(second, value(first, a, b), a), b)
