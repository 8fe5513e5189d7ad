"""What every protocol calls: loaded models, traffic, cache, prediction log."""
