"""What a network asks of the accelerator, layer by layer."""
