"""What is served: model directories, their targets, and the repository that names them."""
