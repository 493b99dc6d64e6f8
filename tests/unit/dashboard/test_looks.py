"""What can be computed about the looks: contrast, and no inline anything."""

import re
from pathlib import Path

import pytest

import dashboard

ROOT = Path(dashboard.__file__).parent
TOKENS = (ROOT / "web/src/tokens.css").read_text("utf-8")
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
TEXT, SHAPE = 4.5, 3.0
PAIRS = [
    *[("ink", ground, TEXT) for ground in ("ground", "surface", "sunken")],
    *[("muted", ground, TEXT) for ground in ("ground", "surface", "sunken")],
    *[("accent", ground, TEXT) for ground in ("ground", "surface", "accent-ground")],
    ("on-accent", "accent", TEXT),
    *[(name, f"{name}-ground", TEXT) for name in ("ok", "denied", "wait", "stated")],
    *[(name, "surface", TEXT) for name in ("ok", "denied", "wait", "stated")],
    *[("ink", f"{name}-ground", TEXT) for name in ("ok", "denied", "wait", "stated")],
    *[("control", ground, SHAPE) for ground in ("ground", "surface")],
    *[("heat-ink", f"heat-{step}", TEXT) for step in (1, 2, 3, 4)],
    ("heat-ink-middle", "heat-5", TEXT),
    *[("heat-ink-strong", f"heat-{step}", TEXT) for step in (6, 7)],
    ("heat-5", "surface", SHAPE),
]


def colours(theme: int) -> dict[str, str]:
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", TOKENS)
    return {name: pair[theme] for name, *pair in found}


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_contrast_is_enough(front: str, back: str, least: float, theme: int) -> None:
    colour = colours(theme)
    assert contrast(colour[front], colour[back]) >= least


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
