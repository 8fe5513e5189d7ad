"""The preflight component: what a training needs, and whether it would change anything."""
