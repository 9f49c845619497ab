"""Letters that look like others and letters that nobody sees: what has to be undone before texts are compared."""

import re

LATIN_OF = str.maketrans(dict(zip("аеорсухіјѕԁһԛѡкмнтвгαοενικρτυχωβ", "aeopcyxijsdhqwkmhtbraoevikptuxwb", strict=True)))
"""Cyrillic and Greek letters that look like Latin ones (Unicode's confusables, those that are used)."""

INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff\u00ad\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""Characters without a shape, and those that turn the direction of writing."""
