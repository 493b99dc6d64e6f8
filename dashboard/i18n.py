"""The dashboard's words in both languages, and how it writes numbers and times.

A catalogue is a flat JSON object, key to sentence; `{name}` marks a value. A
missing key or value is an error, never a silent fallback: half-translated pages
are how people stop reading. A key ending in `.one` is the form for the number 1
where a language has one.

Sentences are trusted HTML text and values are not: whatever is put into a
sentence is escaped on the way, unless it already is markup.

Names of companies and fields are stored in both languages by whoever owns them.
`name` picks one; text that exists only in the other language keeps its `lang`.
"""

import datetime
import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from markupsafe import Markup

LANGUAGES: Final = ("zh", "en")
HTML_LANG: Final = {"zh": "zh-Hans", "en": "en"}
_CATALOGUES: Final = Path(__file__).parent / "locales"
_STEPS: Final = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Return a language's sentences by key."""
    text = (_CATALOGUES / f"{language}.json").read_text("utf-8")
    words: dict[str, str] = json.loads(text)
    return words


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How one reader is spoken to: a language, and a time zone.

    Attributes:
        language: `zh` or `en`.
        zone: The zone in which instants are written, always with its offset.
    """

    language: str
    zone: zoneinfo.ZoneInfo

    def say(self, key: str, **values: object) -> Markup:
        """Return the sentence of a key, with numbers written for people."""
        words = catalogue(self.language)
        if values.get("n") == 1 and f"{key}.one" in words:
            key = f"{key}.one"
        shown = {name: self._shown(value) for name, value in values.items()}
        return Markup(words[key]).format(**shown)  # noqa: S704 - catalogues are ours

    def knows(self, key: str) -> bool:
        """Say whether the catalogue has a sentence for a key."""
        return key in catalogue(self.language)

    def name(self, names: Mapping[str, str], otherwise: str = "") -> Markup:
        """Return a stored name; marked with its language when it is the other."""
        if self.language in names:
            return Markup.escape(names[self.language])
        for language, text in names.items():
            lang = HTML_LANG.get(language, language)
            return Markup('<span lang="{}">{}</span>').format(lang, text)
        return Markup.escape(otherwise)

    def number(self, value: float) -> str:
        """Write a number as `1,234`, in both languages."""
        return f"{value:,}"

    def instant(self, at: datetime.datetime) -> str:
        """Write an instant in full: `2026-09-21 14:13:06 +08:00`."""
        return f"{self._local(at):%Y-%m-%d %H:%M:%S} {self.offset(at)}"

    def moment(self, at: datetime.datetime) -> str:
        """Write an instant for a table whose heading names the offset."""
        return f"{self._local(at):%m-%d %H:%M:%S}"

    def minute(self, at: datetime.datetime) -> str:
        """Write an instant for a range: `2026-09-21 14:13`."""
        return f"{self._local(at):%Y-%m-%d %H:%M}"

    def day(self, at: datetime.datetime) -> str:
        """Write the day on which an instant falls here: `09-21`."""
        return f"{self._local(at):%m-%d}"

    def date(self, at: datetime.datetime) -> datetime.date:
        """Return the day on which an instant falls here."""
        return self._local(at).date()

    def offset(self, at: datetime.datetime) -> str:
        """Return the zone's offset at an instant: `+08:00`, or `UTC`."""
        text = self._local(at).isoformat()[19:]
        return "UTC" if text == "+00:00" else text

    def span(self, seconds: float) -> Markup:
        """Write a length of time in its largest whole unit: `3 h`."""
        whole = max(0, int(seconds))
        for unit, size in _STEPS:
            if whole >= size:
                return self.say(f"span.{unit}", n=whole // size)
        return self.say("span.seconds", n=0)

    def _local(self, at: datetime.datetime) -> datetime.datetime:
        return at.astimezone(self.zone)

    def _shown(self, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.number(value)
        return value
