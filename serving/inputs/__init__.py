"""From a request body to a float64 matrix in the order of the model, or a refusal that names row and column."""
