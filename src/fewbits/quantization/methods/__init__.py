"""What recipes put into a layer: learned steps, scales of channels, stochastic binary weights."""
