"""The systolic array's circuit in Amaranth."""
