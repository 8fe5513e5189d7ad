"""The gate: a decision by the rules of the use case, closed by default."""
