"""Who may ask, how often, and who asked."""
