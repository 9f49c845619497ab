"""Stands in for StackStorm's package where it is not installed, as far as the pack uses it."""
