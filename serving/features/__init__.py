"""Features at request time: raw values, history, and the feature store."""
