"""The curve of cost and quality, as an SVG file."""

from collections.abc import Sequence

import numpy as np

from scripts.quality_model.data import Two
from scripts.quality_model.judging import Curve, by_length, curve, inverses, judge_two

_WIDTH, _HEIGHT = 720, 440
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 30, 700, 380
_LOWEST = 0.8
_SEED = 5
_POINTS = 160
_COLORS = {
    "the quality model": "#1565c0",
    "the same, on tasks left out": "#7b1fa2",
    "short prompts to the strong model": "#ef6c00",
}


def draw(rows: Two) -> str:
    """The curves of rows judged by the other folds, of the length alone, and of random mixing."""
    inverted = inverses(rows)
    lines = [
        curve(judge_two(rows, inverted, False, _SEED, ()).score, rows),
        curve(judge_two(rows, inverted, True, _SEED, ()).score, rows),
        curve(by_length(rows), rows),
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"',
        ' font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        *_axes(),
    ]
    weak = rows.weak.sum() / rows.strong.sum()
    mixed = [(0.0, 1.0), (1 - rows.weak_cost.sum() / rows.strong_cost.sum(), float(weak))]
    parts.append(_line(mixed, "#757575", "5 4"))
    named = [*zip(_COLORS.items(), lines, strict=True)]
    parts += [_line(_thinned(found), color) for (_, color), found in named]
    labels = [*_COLORS.items(), ("random mixing", "#757575")]
    for number, (label, color) in enumerate(labels):
        y = _BOTTOM - 20 - 20 * (len(labels) - 1 - number)
        parts.append(f'<path d="M{_LEFT + 14} {y - 4}h24" stroke="{color}" stroke-width="3"/>')
        parts.append(f'<text x="{_LEFT + 46}" y="{y}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _axes() -> list[str]:
    parts = [f'<path d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}" fill="none" stroke="#333"/>']
    for percent in range(0, 101, 20):
        x = _x(percent / 100)
        parts.append(f'<text x="{x:.0f}" y="{_BOTTOM + 20}" text-anchor="middle">{percent} %</text>')
    for percent in (80, 85, 90, 95, 99, 100):
        y = _y(percent / 100)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    middle = (_LEFT + _RIGHT) // 2
    parts.append(f'<text x="{middle}" y="{_BOTTOM + 45}" text-anchor="middle">cost saved</text>')
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 10}">quality, of the strong model\'s</text>')
    return parts


def _thinned(found: Curve) -> list[tuple[float, float]]:
    shown = np.flatnonzero(found.quality >= _LOWEST)
    kept = shown[np.linspace(0, len(shown) - 1, _POINTS).astype(int)]
    return list(zip(found.saved[kept].tolist(), found.quality[kept].tolist(), strict=True))


def _line(points: Sequence[tuple[float, float]], color: str, dashes: str = "none") -> str:
    path = "L".join(f"{_x(saved):.1f} {_y(quality):.1f}" for saved, quality in points)
    return f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'


def _x(saved: float) -> float:
    return _LEFT + saved * (_RIGHT - _LEFT)


def _y(quality: float) -> float:
    return _TOP + (1.02 - quality) / (1.02 - _LOWEST) * (_BOTTOM - _TOP)
