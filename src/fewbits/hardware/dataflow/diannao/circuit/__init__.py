"""The accelerator in Amaranth, neurons and datapath apart."""
