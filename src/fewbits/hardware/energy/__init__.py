"""What the gates of a netlist and its clock tree take."""
