"""C sources and their build, for the feature compiler and the model only."""
