"""Export of metrics by pipelines and processes, limits of a model's errors, and dashboards as code."""
