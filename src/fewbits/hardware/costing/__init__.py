"""From a network, an accelerator and a process to the figures."""
