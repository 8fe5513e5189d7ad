"""Kinds of a team's own: a feature, a candidate, a source and a document."""
