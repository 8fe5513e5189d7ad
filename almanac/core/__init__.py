"""Foundations of the library: errors, files and digests, registries of kinds, revision, progress, Dask workers."""
