"""Comparisons of sequences in the bits of one number: a row of the table in a few operations."""

from collections.abc import Sequence


def in_order(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence (Hyyrö, 2004). What both begin and end with is in it for sure."""
    begin, end = 0, min(len(one), len(other))
    while begin < end and one[begin] == other[begin]:
        begin += 1
    same = 0
    while same < end - begin and one[-1 - same] == other[-1 - same]:
        same += 1
    one, other = one[begin : len(one) - same], other[begin : len(other) - same]
    places: dict[str, int] = {}
    bit = 1
    for item in one:
        places[item] = places.get(item, 0) | bit
        bit <<= 1
    full = row = bit - 1
    for found in map(places.get, other):
        if found:
            both = row & found
            row = (row + both | row - both) & full
    return begin + same + len(one) - row.bit_count()
