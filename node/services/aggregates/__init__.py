"""Aggregates: counts and sums over customers that nobody shows."""
