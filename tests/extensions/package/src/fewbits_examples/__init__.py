"""One extension of fewbits of each kind, each in one file."""
