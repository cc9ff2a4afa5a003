"""Accelerators described by their loops in space and their memories; a mapper chooses what is left open."""
