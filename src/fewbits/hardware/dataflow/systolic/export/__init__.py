"""Verilog of the systolic array and the accelerator around it, with bench, constraints and memory wrappers."""

from fewbits.hardware.dataflow.systolic.export.verilog_export import export_verilog

__all__ = ["export_verilog"]
