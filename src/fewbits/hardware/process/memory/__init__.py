"""The buffers' SRAM macros: area, energy, and how fast a read is."""
