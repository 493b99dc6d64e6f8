"""What can be computed about the looks: contrast, and no inline anything."""

import itertools
import math
import re
from pathlib import Path

import pytest

import dashboard

ROOT = Path(dashboard.__file__).parent
TOKENS = (ROOT / "web/src/tokens.css").read_text("utf-8")
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
TEXT, SHAPE = 4.5, 3.0
STATES = ("ok", "denied", "wait", "stated")
PAIRS = [
    *[("ink", ground, TEXT) for ground in ("ground", "surface", "sunken")],
    *[("muted", ground, TEXT) for ground in ("ground", "surface", "sunken")],
    *[("accent", ground, TEXT) for ground in ("ground", "surface", "accent-ground")],
    ("on-accent", "accent", TEXT),
    *[(name, f"{name}-ground", TEXT) for name in (*STATES, "proof")],
    *[(name, "surface", TEXT) for name in (*STATES, "proof")],
    *[("ink", f"{name}-ground", TEXT) for name in STATES],
    *[("control", ground, SHAPE) for ground in ("ground", "surface")],
    *[("heat-ink", f"heat-{step}", TEXT) for step in (1, 2, 3, 4)],
    ("heat-ink-middle", "heat-5", TEXT),
    *[("heat-ink-strong", f"heat-{step}", TEXT) for step in (6, 7)],
    ("heat-5", "surface", SHAPE),
]


def colours(theme: int) -> dict[str, str]:
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", TOKENS)
    return {name: pair[theme] for name, *pair in found}


def linear(colour: str) -> list[float]:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_contrast_is_enough(front: str, back: str, least: float, theme: int) -> None:
    colour = colours(theme)
    assert contrast(colour[front], colour[back]) >= least


# How three kinds of colour-blind people see (Machado, Oliveira, Fernandes 2009,
# severity 1), as matrices over linear RGB.
BLINDNESS = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def seen(colour: str, blindness: str) -> list[float]:
    """CIE Lab (D65) of a colour as it is seen."""
    matrix = BLINDNESS[blindness]
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear(colour), strict=True))))
        for row in matrix
    )
    x = (0.4125 * red + 0.3576 * green + 0.1804 * blue) / 0.9505
    y = 0.2127 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9503 * blue) / 1.0888
    f, g, h = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z)
    )
    return [116 * g - 16, 500 * (f - g), 200 * (g - h)]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("other", [*STATES, "accent"])
def test_the_mark_of_a_proof_has_a_colour_of_its_own_for_everybody(
    other: str, blindness: str, theme: int
) -> None:
    colour = colours(theme)
    pair = (seen(colour[name], blindness) for name in ("proof", other))
    assert math.dist(*pair) > 12  # five times what is just noticed


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_steps_of_heat_are_told_apart_and_in_order_by_everybody(
    blindness: str, theme: int
) -> None:
    colour = colours(theme)
    steps = [seen(colour[f"heat-{number}"], blindness) for number in range(1, 8)]
    lightness = [step[0] for step in steps]
    assert lightness == sorted(lightness, reverse=theme == 0)
    assert all(math.dist(*pair) > 4.6 for pair in itertools.pairwise(steps))


def test_colours_are_declared_in_one_file_only() -> None:
    sheet = (ROOT / "web/src/app.css").read_text("utf-8")
    outside = [
        line for line in sheet.splitlines() if re.search(r"#[0-9a-f]{3,8}\b", line)
    ]
    assert outside == [line for line in outside if "#999" in line]  # print


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\sstyle\s*=", text)
    assert "<style" not in text
    assert not re.search(r"\son\w+\s*=|hx-on|javascript:|hx-vals", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_no_page_names_another_origin() -> None:
    for path in (*TEMPLATES, *(ROOT / "web/src").glob("*")):
        found = re.findall(r"https?://[^\s\"']+", path.read_text("utf-8"))
        assert [url for url in found if "www.w3.org/2000/svg" not in url] == []
