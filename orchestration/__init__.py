"""Running, compiling, submitting and scheduling pipelines, and the command line."""
