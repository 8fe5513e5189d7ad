"""The ground floor: errors, files and digests, revision, progress, Dask workers."""
