"""The preflight component: requirements of a training, and whether it would change anything."""
