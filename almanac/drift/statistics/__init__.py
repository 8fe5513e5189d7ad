"""Statistics of two distributions or rankings, free of any state."""

from almanac.drift.statistics.distances import jensen_shannon, ks, ks_error_bound, psi, quantile
from almanac.drift.statistics.exact_ks import ks_exact
from almanac.drift.statistics.ranking import ndcg

__all__ = ["jensen_shannon", "ks", "ks_error_bound", "ks_exact", "ndcg", "psi", "quantile"]
