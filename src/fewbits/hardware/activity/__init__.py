"""How often the nets of a netlist toggle, on real operands."""
