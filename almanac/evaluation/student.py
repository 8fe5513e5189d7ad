"""Quantiles of Student's distribution."""


def student_quantile(degrees: float, level: float) -> float:
    """Return the quantile of Student's distribution at `level`; with very many degrees of freedom, the normal one's."""
    # SciPy takes a moment to import, and whoever reads a use case file imports the rules that compute with it.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))
