"""What surrounds the neurons, run and costed gate by gate."""
