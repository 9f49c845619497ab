"""Comparisons of sequences in the bits of one number: a row of the table in a few operations."""

from collections.abc import Sequence


def in_order(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence (Hyyrö, 2004)."""
    places: dict[str, int] = {}
    bit = 1
    for item in one:
        places[item] = places.get(item, 0) | bit
        bit <<= 1
    full = row = bit - 1
    for item in other:
        if found := places.get(item):
            both = row & found
            row = (row + both | row - both) & full
    return len(one) - row.bit_count()
