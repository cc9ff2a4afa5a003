"""A user's Verilog multiplier at the commands: its errors, a cost, RTL, a technology table; what is none is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from refusal import Command, refused

CIRCUIT = """// Eight bits; the product's lowest five columns are zero.
module cut_mult(input signed [7:0] a, input signed [7:0] b, output signed [15:0] y);
  wire signed [15:0] full = a * b;
  assign y = {full[15:5], 5'b0};
endmodule
"""


@pytest.fixture
def circuit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("fewbits.hardware.multipliers.given._folder", lambda: tmp_path / "cache")  # yosys keeps its own
    path = tmp_path / "mine.v"
    path.write_text(CIRCUIT)
    return path


def generated(folder: Path) -> Path:
    """What ariths-gen writes into a file: ports of 8 bits that are not declared signed."""
    pytest.importorskip("ariths_gen", reason="needs ariths-gen, the extra 'approximate'")
    from ariths_gen.multi_bit_circuits.multipliers import SignedDaddaMultiplier
    from ariths_gen.wire_components import Bus

    made = SignedDaddaMultiplier(Bus("a", 8), Bus("b", 8), name="s_dadda8")
    path = folder / "dadda.v"
    with path.open("w") as file:
        made.get_v_code_hier(file)
    return path


def test_products_tells_the_errors_of_a_circuit(fewbits: Command, circuit: Path):
    said = fewbits("products", circuit).out
    assert said.startswith("cut_mult-")
    assert "of fixed8: circuit cut_mult" in said
    assert "worst case error     31 " in said


def test_products_of_a_generated_file_are_exact(fewbits: Command, tmp_path: Path, circuit: Path):
    assert "worst case error     0 " in fewbits("products", generated(tmp_path)).out


def test_a_cost_of_a_circuit_that_no_table_has_names_the_command_that_makes_one(fewbits: Command, circuit: Path):
    refused(fewbits("cost", "lenet", "fixed8", "--multiplier", circuit), "fewbits characterize", "cut_mult-")


REFUSED = {
    "state": ("module m(input clk, input signed [7:0] a, output reg [15:0] p); always @(posedge clk) p <= a; endmodule",
              "holds state"),
    "a latch": ("module m(input [7:0] a, b, output reg [15:0] p); always @* if (a[0]) p = a * b; endmodule", "state"),
    "other widths": ("module m(input signed [3:0] a, b, output signed [7:0] p); assign p = a * b; endmodule",
                     "inputs a of 4 bits"),
    "two modules": (CIRCUIT + CIRCUIT.replace("cut_mult", "other"), "choose one as FILE.v:MODULE"),
    "too large": ("// " + "a" * (1 << 20), "larger than 1 MiB"),
    "no Verilog": ("\0\0", "no Verilog but a binary file"),
}  # fmt: skip


@pytest.mark.parametrize(
    "command", [("products",), ("rtl", "fixed8", "--out", "rtl", "--multiplier")], ids=lambda c: c[0]
)
@pytest.mark.parametrize("what", list(REFUSED))
def test_what_is_no_multiplier_of_the_precision_is_refused_in_one_line(
    fewbits: Command, circuit: Path, command: tuple[str, ...], what: str
):
    text, words = REFUSED[what]
    circuit.write_text(text)
    refused(fewbits(*command, circuit), words)


@pytest.mark.parametrize("name", ["missing.v", "folder.v", "nonsense", "ariths:none"])
def test_products_of_nothing_are_refused_in_one_line(fewbits: Command, tmp_path: Path, name: str):
    (tmp_path / "folder.v").mkdir()
    refused(fewbits("products", name), name)


@pytest.mark.slow
def test_a_circuit_is_characterized_costed_and_written(fewbits: Command, circuit: Path, tmp_path: Path, pdk: Path):
    """From the file to a table, to LeNet's energy, to Verilog whose bench passes."""
    liberty = ("--liberty", pdk / "sg13g2_stdcell_typ_1p20V_25C.lib", "--sram", pdk / "sram", "--no-control")
    made = fewbits("characterize", "--precision", "fixed8", *liberty, "--multiplier", circuit, "--out", "mine.json")
    assert made.status == 0, made.err
    (name,) = json.loads((tmp_path / "mine.json").read_text())["datapaths"]
    assert name.startswith("fixed8 cut_mult-")
    cost = fewbits("cost", "lenet", "fixed8", "--multiplier", circuit, "--technology", "mine.json", "--json")
    assert cost.status == 0, cost.err
    (figures,) = json.loads(cost.out)
    assert figures["multiplier"] == "circuit cut_mult"
    assert figures["energy_uj"] > 0
    written = fewbits("rtl", "fixed8", "--multiplier", circuit, "--out", "rtl")
    assert written.status == 0, written.err
    bench = ("iverilog", "-g2012", "-o", "bench", "neuron_bench.v", "neuron.v")
    subprocess.run(bench, cwd=tmp_path / "rtl", check=True)
    said = subprocess.run(["vvp", "bench"], cwd=tmp_path / "rtl", check=True, capture_output=True, text=True).stdout
    assert "PASS: 1000 chunks" in said
