"""What circuits of all kinds are made of: bit heaps, instances, register files, Verilog."""
