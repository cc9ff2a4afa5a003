"""Networks as torch gives them: traced into calls, with the kinds of calls that fewbits knows."""
