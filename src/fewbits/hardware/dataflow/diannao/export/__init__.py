"""Verilog of neuron and accelerator, with benches, constraints and memory wrappers."""

from fewbits.hardware.dataflow.diannao.export.verilog_export import export_verilog, to_verilog

__all__ = ["export_verilog", "to_verilog"]
