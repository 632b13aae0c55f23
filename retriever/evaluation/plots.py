"""Plots as SVG, written by hand: text in, text out. Whatever a label holds is escaped."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from retriever.evaluation.resampling import Estimate

WIDTH = 640
LABEL_WIDTH = 150
ROW_HEIGHT = 24
PLOT_HEIGHT = 220
MARGIN = 36
BINS = 20
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1")


def intervals(estimates: Mapping[str, Estimate]) -> str:
    """A dot and its interval for each name, on one axis from 0 to 1."""
    left, right = LABEL_WIDTH, WIDTH - MARGIN
    height = ROW_HEIGHT * len(estimates) + MARGIN
    parts = [_line(left, height - 24, right, height - 24)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _between(tick, left, right)
        parts += [_line(x, 4, x, height - 24, faint=True), _text(x, height - 8, f"{tick:g}")]
    for row, (name, one) in enumerate(estimates.items()):
        y = ROW_HEIGHT * row + 16
        low, mean, high = (_between(v, left, right) for v in (one.low, one.value, one.high))
        parts.append(_text(left - 8, y + 4, name, anchor="end"))
        parts.append(_line(low, y, high, y, colour=COLOURS[0]))
        parts.append(f'<circle cx="{mean:.1f}" cy="{y}" r="4" fill="{COLOURS[0]}"/>')
    return _svg(height, parts, "Means and their intervals")


def histogram(groups: Mapping[str, Sequence[float]], caption: str) -> str:
    """How the values of one or more groups are spread, as shares of each group."""
    values = np.concatenate([np.asarray(one, dtype=float) for one in groups.values()])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low, high = min(low, 0.0), max(high, 1.0)
    shares = [
        np.histogram(one, bins=BINS, range=(low, high))[0] / max(len(one), 1)
        for one in groups.values()
    ]
    most = max([0.01, *(float(one.max()) for one in shares)])
    bottom, bar = PLOT_HEIGHT - MARGIN, (WIDTH - 2 * MARGIN) / BINS / max(len(groups), 1)
    parts = [_line(MARGIN, bottom, WIDTH - MARGIN, bottom)]
    for group, heights in enumerate(shares):
        for place, share in enumerate(heights):
            tall = (bottom - 24) * share / most
            x = MARGIN + (place * len(shares) + group) * bar
            parts.append(
                f'<rect x="{x:.1f}" y="{bottom - tall:.1f}" width="{max(bar - 1, 1):.1f}" '
                f'height="{tall:.1f}" fill="{COLOURS[group % len(COLOURS)]}"/>'
            )
    for tick in np.linspace(low, high, 5):
        x = MARGIN + (tick - low) / (high - low) * (WIDTH - 2 * MARGIN)
        parts.append(_text(x, bottom + 16, f"{tick:.2f}"))
    return _svg(PLOT_HEIGHT, [*parts, *_legend(list(groups))], caption)


def scatter(first: Sequence[float], second: Sequence[float], axes: tuple[str, str]) -> str:
    """A point for each question: the first configuration across, the second upwards, 0 to 1."""
    side = 420
    low, high = MARGIN + 20, side - 16
    parts = [
        _line(low, side - low, high, side - low),
        _line(low, side - high, low, side - low),
        _line(low, side - low, high, side - high, faint=True),
    ]
    for tick in (0.0, 0.5, 1.0):
        at = _between(tick, low, high)
        parts.append(_text(at, side - low + 16, f"{tick:g}"))
        parts.append(_text(low - 8, side - at + 4, f"{tick:g}", anchor="end"))
    for x, y in zip(first, second, strict=True):
        across, up = _between(x, low, high), side - _between(y, low, high)
        colour = COLOURS[2] if y > x else COLOURS[1] if y < x else "#888888"
        parts.append(
            f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{colour}" fill-opacity="0.45"/>'
        )
    parts.append(_text((low + high) / 2, side - 8, axes[0]))
    parts.append(_text(low, 12, axes[1], anchor="start"))
    return _svg(side, parts, f"Each question under {axes[0]} and {axes[1]}", width=side)


def _legend(names: Sequence[str]) -> list[str]:
    if len(names) < 2:
        return []
    return [
        f'<text x="{WIDTH - MARGIN}" y="{16 + 16 * place}" text-anchor="end" '
        f'style="fill:{COLOURS[place % len(COLOURS)]}">{escape(name)}</text>'
        for place, name in enumerate(names)
    ]


def _svg(height: float, parts: Sequence[str], caption: str, *, width: float = WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
        f'aria-label="{escape(caption)}"><title>{escape(caption)}</title>{"".join(parts)}</svg>'
    )


def _line(  # two points and how they are drawn
    x1: float, y1: float, x2: float, y2: float, *, faint: bool = False, colour: str = "#888888"
) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-opacity="{0.25 if faint else 1}" stroke-width="{1 if faint else 1.5}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _between(value: float, low: float, high: float) -> float:
    return low + min(1.0, max(0.0, value)) * (high - low)
