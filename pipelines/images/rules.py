"""What vendors count for an image, in tokens, as they publish it; an upper bound where it depends on what is unknown.

Sources: OpenAI, "Images and vision", "Calculating costs"; Anthropic, "Vision", "Evaluate image size" and "Calculate
image costs"; Google, "Understand and count tokens" and "Media resolution", and Vertex AI, "Image understanding". As of
late 2026.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.images.headers import Size

UNKNOWN = Size(4_096, 4_096)
"""What an image whose size is not known counts as, where a rule has no bound of its own: one of 17 megapixels."""


_MOST_TILES = 8
"""768 x 2,048 pixels have so many."""


class Rule(Protocol):
    """What one family of models counts."""

    def tokens(self, size: Size | None, detail: str) -> int:
        """Of one image. `size`: None where it is not known; `detail`: `auto`, `low` or `high`, of which `auto` may be
        `high`."""
        ...


@dataclass(frozen=True, slots=True)
class Tiles:
    """OpenAI's tiles of 512 pixels: fitted into 2,048 pixels square, then to 768 pixels on the shorter side."""

    base: int
    tile: int

    def tokens(self, size: Size | None, detail: str) -> int:
        """See `Rule`."""
        if detail == "low":
            return self.base
        if size is None:
            return self.base + self.tile * _MOST_TILES
        shrunk = min(1.0, 2_048 / max(size))
        shrunk = min(shrunk, 768 / min(size))
        tiles = math.prod(math.ceil(round(side * shrunk, 6) / 512) for side in size)
        return self.base + self.tile * min(tiles, _MOST_TILES)


@dataclass(frozen=True, slots=True)
class Patches:
    """OpenAI's patches of 32 pixels, shrunk to so many at most, times a factor. `low` is not counted on to help."""

    factor: float
    most: int = 1_536

    def tokens(self, size: Size | None, detail: str) -> int:
        """See `Rule`."""
        patches = self.most if size is None else min(self._patches(size), self.most)
        return math.ceil(round(patches * self.factor, 6))

    def _patches(self, size: Size) -> int:
        patches = _covering(size, 32, 1.0)
        if patches <= self.most:
            return patches
        shrunk = math.sqrt(self.most * 32 * 32 / (size.width * size.height))
        sides = [side * shrunk / 32 for side in size]
        # One of a line's width is not less than one patch wide.
        return _covering(size, 32, shrunk * min(max(math.floor(side), 1) / side for side in sides))


@dataclass(frozen=True, slots=True)
class Area:
    """Anthropic: width times height / 750, or the patches of 28 pixels, whichever is more, after it was shrunk.

    An image is shrunk until no side is longer than `edge` pixels and it counts for no more than `most`.
    """

    edge: int
    most: int

    def tokens(self, size: Size | None, detail: str) -> int:
        """See `Rule`."""
        if size is None:
            return self.most
        shrunk = min(1.0, self.edge / max(size))
        pixels = size.width * size.height * shrunk * shrunk
        return min(self.most, max(math.ceil(pixels / 750), _covering(size, 28, shrunk)))


@dataclass(frozen=True, slots=True)
class Crops:
    """Google up to Gemini 2.5: 258 for each crop, two thirds of the shorter side wide, but 256 to 768 pixels."""

    def tokens(self, size: Size | None, detail: str) -> int:
        """See `Rule`."""
        width, height = size or UNKNOWN
        if max(width, height) <= 384:
            return 258
        crop = min(max(math.floor(min(width, height) / 1.5), 256), 768)
        return 258 * math.ceil(width / crop) * math.ceil(height / crop)


@dataclass(frozen=True, slots=True)
class Flat:
    """Google from Gemini 3 on: the same for every image, by `media_resolution`; this is its default, the highest."""

    each: int

    def tokens(self, size: Size | None, detail: str) -> int:
        """See `Rule`."""
        return self.each


@dataclass(frozen=True, slots=True)
class Most:
    """The largest of several rules: where nobody knows yet which model is asked."""

    rules: Sequence[Rule]

    def tokens(self, size: Size | None, detail: str) -> int:
        """See `Rule`."""
        return max(rule.tokens(size, detail) for rule in self.rules)


def _covering(size: Size, side: int, shrunk: float) -> int:
    """How many squares of `side` pixels cover the image that was shrunk."""
    return math.prod(max(1, math.ceil(round(each * shrunk / side, 6))) for each in size)


_FOUR, _REASONING, _FIVE = Tiles(85, 170), Tiles(75, 150), Tiles(70, 140)
_LATER, _STANDARD, _SHARP = Patches(1.2, 2_500), Area(1_568, 1_600), Area(2_576, 4_784)
_CROPS, _FLAT = Crops(), Flat(1_120)

RULES: Sequence[tuple[str, Rule]] = (
    ("gpt-4o-mini-", Tiles(2_833, 5_667)),
    ("gpt-4.1-mini-", Patches(1.62)),
    ("gpt-4.1-nano-", Patches(2.46)),
    ("gpt-5-mini-", Patches(1.62)),
    ("gpt-5-nano-", Patches(2.46)),
    ("gpt-4", _FOUR),
    ("gpt-5-", _FIVE),
    ("gpt-", _LATER),
    ("o4-mini-", Patches(1.72)),
    ("o1-", _REASONING),
    ("o3-", _REASONING),
    ("claude-3-", _STANDARD),
    ("claude-haiku-4-", _STANDARD),
    ("claude-sonnet-4-", _STANDARD),
    ("claude-opus-4-2", _STANDARD),  # dated: claude-opus-4-20250514
    ("claude-opus-4-1-", _STANDARD),
    ("claude-opus-4-5-", _STANDARD),
    ("claude-opus-4-6-", _STANDARD),
    ("claude-", _SHARP),
    ("gemini-1.", _CROPS),
    ("gemini-2.", _CROPS),
    ("gemini-", _FLAT),
)
"""The beginning of a model's name, with a dash behind it, and its rule: the first that fits counts."""

ANY: Rule = Most((_FOUR, Patches(2.46), _LATER, _SHARP, _CROPS, _FLAT))
"""For `auto`, and for models of which no rule is known. GPT-4o mini, whose tokens are many and cheap, is left out."""


def rule_for(model: str) -> Rule:
    """The rule of a model: `auto`, `provider/model`, `model` or a deployment's id."""
    name = model.rpartition("/")[2].partition("@")[0] + "-"
    return next((rule for begin, rule in RULES if name.startswith(begin)), ANY)
