"""C sources and their build; reached by the feature compiler and the model alone."""
