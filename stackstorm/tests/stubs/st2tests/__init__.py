"""Stands in for StackStorm's package of the same name where it is not installed, as far as the
pack's tests use it.
"""
