"""The configuration component: the use case of the pipeline as an artifact."""
