"""The feature kinds, one module each: declaration, names, formula, learned parameters, and an example for the tests."""
