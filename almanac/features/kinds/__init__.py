"""The feature kinds, one module each: declaration, names, formula, what is learned, and an example for the tests."""
