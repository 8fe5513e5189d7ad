"""The model directory: its format, prediction, intervals and explanation."""
