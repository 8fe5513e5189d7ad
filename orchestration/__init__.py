"""Running, compiling and submitting pipelines; the pipelines themselves stand in pipeline.py."""
