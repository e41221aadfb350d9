"""The one error of the benchmark."""


class BenchError(Exception):
    """The measurement makes no sense, or cannot be made here."""
