"""Accelerators and their dataflows: which loops run in space, which in time, what each memory keeps."""
