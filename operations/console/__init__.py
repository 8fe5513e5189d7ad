"""The console: pages on what the models do and on what waits for a person, and the decisions that people make there."""
