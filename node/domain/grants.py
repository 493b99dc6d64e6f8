"""What grants of all kinds say of a field, and the forms in which they are written.

A grant names the type, unit and scale that the field had when it was made: whatever
it limits (bounds of a question, amounts in a sum) is in these. A kind of grant adds
what the field may be used for, and how finely.

As text, which policies hold, the members stand between colons: name, type, scale, three
members of the kind, unit. As JSON, a grant is an object of all its members.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, NoReturn, Self

from crypto import typed
from crypto.errors import Malformed
from node.domain.checking import did_you_mean
from node.domain.dataset import FieldType
from node.domain.values import BadValue, Typed, to_wire
from node.errors import BadRequest

MEASURED: Final = (FieldType.MONEY, FieldType.INTEGER)
"""The types that have amounts, and so may have a unit."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_UNIT: Final = re.compile("[^\\s\x00-\x1f\x7f\ud800-\udfff]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldGrant:
    """A field, as it was when something was granted of it.

    Attributes:
        TERM: Of an agreement, under which grants of this kind stand.
        LISTS: Names of the members that are lists.
        field: Its name.
        type: What it held when this was agreed.
        unit: Likewise; None if it has none.
        scale: Likewise: digits after the decimal point.
    """

    TERM: ClassVar[str]
    LISTS: ClassVar[tuple[str, ...]]

    field: str
    type: FieldType
    unit: str | None = None
    scale: int = 0

    def check_field(self, like: str) -> None:
        """Refuse a field that no dataset can declare.

        Args:
            like: A name, for example.

        Raises:
            BadRequest: Naming the field and the mend.
        """
        if not _NAME.fullmatch(self.field):
            self.refuse(f"Name a field, like {like}.")
        if not self._is_typed():
            detail = f"{self.field} has a type, unit or scale that no field can have."
            self.refuse(detail)

    def check_chosen(
        self,
        chosen: Iterable[str],
        fitting: Mapping[FieldType, frozenset[str]],
        what: str,
    ) -> None:
        """Refuse what does not go with the field's type, or nothing, or a muddle.

        Args:
            chosen: What the field may be used for.
            fitting: What goes with each type.
            what: Of this, at least one has to be named.

        Raises:
            BadRequest: Naming the field and the mend.
        """
        named, known = list(chosen), fitting[self.type]
        if unfit := sorted(set(named) - known):
            mend = did_you_mean(unfit[0], sorted(known))
            self.refuse(
                f"{unfit[0]} does not go with {self.type} ({self.field}); {mend}."
            )
        if not named or named != sorted(set(named)):
            detail = f"Name at least one {what} {self.field}: sorted, each once."
            self.refuse(detail)

    def _is_typed(self) -> bool:
        """Tell whether a dataset can declare such a field."""
        if self.unit is not None:
            normal = unicodedata.is_normalized("NFC", self.unit)
            if not normal or not _UNIT.fullmatch(self.unit):
                return False
        try:
            _ = self.typed
        except (Malformed, ValueError):
            return False
        return self.unit is None or self.type in MEASURED

    @property
    def typed(self) -> typed.Field:
        """Return the field as records are typed; its definition is not blinded."""
        kind = typed.Kind(self.type)
        return typed.Field(name=self.field, kind=kind, unit=self.unit, scale=self.scale)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, as operators and auditors see it."""
        lists = {name: list(getattr(self, name)) for name in self.LISTS}
        return asdict(self) | {"type": self.type.value} | lists

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` writes.

        Raises:
            BadRequest: It is something else.
        """
        try:
            lists = {name: tuple(value[name]) for name in cls.LISTS}
            return cls(**{**value, "type": FieldType(value["type"]), **lists})
        except (KeyError, TypeError, ValueError) as error:
            detail = f"A grant of {cls.TERM} has another form."
            raise BadRequest(f"terms.{cls.TERM}", detail) from error

    def written(self, *limits: str) -> str:
        """Return the text form. The unit stands last, as it may hold any sign."""
        parts = self.field, self.type, str(self.scale), *limits, self.unit or ""
        return ":".join(parts)

    @staticmethod
    def parted(text: str) -> tuple[dict[str, Any], tuple[str, str, str]]:
        """Return the members that all kinds have, and the text of the three others.

        Raises:
            ValueError: It is no text that `written` makes.
        """
        field, type_, scale, *limits, unit = text.split(":", 6)
        first, second, third = limits
        told = {"type": FieldType(type_), "scale": int(scale), "unit": unit or None}
        return {"field": field, **told}, (first, second, third)

    @classmethod
    def refuse(cls, detail: str) -> NoReturn:
        """Refuse a grant of this kind."""
        raise BadRequest(f"terms.{cls.TERM}", detail)


def amount(field: Typed, text: str) -> str | None:
    """Return an amount above zero in wire form; None if the text is none."""
    try:
        found = str(to_wire(field, text))
    except BadValue:
        return None
    return found if found.strip("0.") and not found.startswith("-") else None
