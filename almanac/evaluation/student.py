"""Student's distribution."""


def student_quantile(degrees: float, level: float) -> float:
    """Return the quantile of Student's distribution at `level`; with very many degrees of freedom, the normal one's."""
    # SciPy takes a moment to import, and whoever reads a use case file imports the rules that compute with it.
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


def noncentrality(degrees: float, bound: float, power: float) -> float:
    """Return by how many standard errors a mean must differ for Student's t to exceed `bound` with this chance."""
    from scipy.special import nctdtrinc

    return float(nctdtrinc(degrees, 1.0 - power, bound))
