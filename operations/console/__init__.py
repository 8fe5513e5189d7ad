"""The console: pages on the models and on pending decisions, and the forms by which people decide."""
