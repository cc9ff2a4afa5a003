"""The dataflow of DianNao: a tile of neurons x synapses between Bin, SB and Bout."""
