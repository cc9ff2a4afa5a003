"""The errors that fewbits raises: one base class, one subclass for each part of the work."""


class FewbitsError(Exception):
    """Base of every error that a bad request can cause.

    The message is one line: what was given, what is allowed, what to do. The command line prints it and
    exits with status 2.
    """


class FormatError(FewbitsError):
    """An unknown format or precision, or a value that a format cannot take (NaN)."""


class ModelError(FewbitsError):
    """A model that cannot be built, quantized, trained or lowered; the message names the layer."""


class DataError(FewbitsError):
    """A data set that is missing, truncated, malformed or of the wrong shape."""


class StudyError(FewbitsError):
    """A study file, store or output folder that cannot be used."""


class HardwareError(FewbitsError):
    """A liberty file, technology table, design or tool (g++, yosys) that cannot be used."""


class ExecutorError(FewbitsError):
    """Workers, a cluster or an address that cannot be used."""


class SearchError(FewbitsError):
    """A search that cannot be done as it is asked for, or its folder or result that cannot be used."""
