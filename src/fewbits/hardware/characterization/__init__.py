"""The steps that make a technology table: synthesize, time, and measure energy on a process."""
