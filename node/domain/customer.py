"""Rules that bring a customer's identifier to one spelling.

Two companies share a customer when both know it by the same identifier. One
wrote `9111 0000 6000 3734 1L`, the other `91110000600037341l`: a *rule* turns
both into the same *key*, or says why it is no such identifier at all. Keys, not
raw identifiers, go into the tokens that name customers on the wire, so both
sides of an agreement must use the same rule.

What a rule does not do: it does not ask a register whether the identifier
exists, and a check digit catches slips, not lies. `name` and `exact` are for
consortia without a common identifier; two companies may have one name.

Sources: GB 32100-2015 (uscc), ISO 17442 (lei), ISO 3779 and 49 CFR 565 (vin),
ITU-T E.164 (e164), UAX #15 (NFKC).
"""

import difflib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import phonenumbers
from stdnum import lei
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from node.domain.dataset import Title
from node.domain.values import encodable, record_key


class BadCustomer(Exception):
    """An identifier that its rule does not accept. Never holds the identifier.

    Args:
        kind: `empty`, `length`, `format`, `check_digit`, `region`, `extension`
            or `not_text`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A normalisation rule: its name in a declaration and its name for people."""

    name: str
    title: Title
    apply: Callable[[str, str | None], str]


def normalise(rule: str, raw: object) -> str:
    """Return the key of an identifier.

    Args:
        rule: Name of a rule, checked with `rule_problem` at declaration.
        raw: What the source holds; whole numbers are read as their digits.

    Raises:
        BadCustomer: The identifier is missing or not of this kind.
    """
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        raise BadCustomer("empty")
    text = raw if isinstance(raw, str) else record_key(raw)
    if text is None:
        raise BadCustomer("not_text")
    if not encodable(text):
        raise BadCustomer("format")
    name, _, parameter = rule.partition(":")
    return _BY_NAME[name].apply(text, parameter or None)


def doubt(rule: str, key: str) -> str | None:
    """Return why an accepted key is suspicious, or None.

    Only North American VINs must carry a check digit (49 CFR 565.15), so a wrong
    one is worth a look and no reason to refuse.
    """
    return "check_digit" if rule == "vin" and not _vin_check(key) else None


def rule_problem(rule: str) -> str | None:
    """Return how to mend the name of a rule, or None when it is right."""
    name, colon, parameter = rule.partition(":")
    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{hint}allowed: {', '.join(_BY_NAME)}, e164:REGION"
    if colon and name != "e164":
        return f"it takes no parameter: write {name}"
    if colon and parameter not in phonenumbers.SUPPORTED_REGIONS:
        return "write the region as an ISO 3166 code in capitals: e164:CN"
    return None


def _uscc(raw: str, _: str | None) -> str:
    # stdnum wants digits in the first two places as well, where GB 32100 knows
    # letters too (N for rural collectives), so only its check digit is used.
    key = uscc.compact(unicodedata.normalize("NFKC", raw))
    if len(key) != 18:
        raise BadCustomer("length")
    if not re.fullmatch("[0-9A-HJ-NP-RTUW-Y]{2}[0-9]{6}[0-9A-HJ-NP-RTUW-Y]{10}", key):
        raise BadCustomer("format")
    if uscc.calc_check_digit(key[:17]) != key[17]:
        raise BadCustomer("check_digit")
    return key


def _lei(raw: str, _: str | None) -> str:
    key = lei.compact(unicodedata.normalize("NFKC", raw)).upper()
    if len(key) != 20:
        raise BadCustomer("length")
    if not re.fullmatch("[0-9A-Z]{18}[0-9]{2}", key):
        raise BadCustomer("format")
    try:
        lei.validate(key)
    except ValidationError:
        raise BadCustomer("check_digit") from None
    return key


def _vin(raw: str, _: str | None) -> str:
    key = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", raw)).upper()
    if len(key) != 17:
        raise BadCustomer("length")
    if not re.fullmatch("[0-9A-HJ-NPR-Z]{17}", key):
        raise BadCustomer("format")
    return key


def _vin_check(key: str) -> bool:
    """Tell whether place 9 is the check digit of 49 CFR 565.15(c)."""
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    values = dict(zip(letters, map(int, "12345678123457923456789"), strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    digits = (values[c] if c in values else int(c) for c in key)
    rest = sum(d * weight for d, weight in zip(digits, weights, strict=True)) % 11
    return key[8] == "0123456789X"[rest]


def _e164(raw: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", raw), region)
    except phonenumbers.NumberParseException as error:
        missing = error.error_type == error.INVALID_COUNTRY_CODE
        raise BadCustomer("region" if missing else "format") from None
    if number.extension:  # E.164 has no place for it, and it names someone else
        raise BadCustomer("extension")
    if not phonenumbers.is_valid_number(number):
        raise BadCustomer("format")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _name(raw: str, _: str | None) -> str:
    # Case folding can undo the normal form, hence twice (UAX #15, D146).
    folded = unicodedata.normalize("NFKC", raw).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _exact(raw: str, _: str | None) -> str:
    return unicodedata.normalize("NFC", raw)  # two spellings of the same characters


def _rule(name: str, en: str, zh: str, apply: Callable[[str, str | None], str]) -> Rule:
    return Rule(name=name, title=Title(en=en, zh=zh), apply=apply)


RULES: Final = (
    _rule("uscc", "Unified social credit code", "统一社会信用代码", _uscc),
    _rule("lei", "Legal entity identifier", "法人机构识别编码", _lei),
    _rule("vin", "Vehicle identification number", "车辆识别代号", _vin),
    _rule("e164", "Telephone number", "电话号码", _e164),
    _rule(
        "name", "Name, whatever its case and spacing", "名称(忽略大小写和空格)", _name
    ),
    _rule("exact", "Identifier, character for character", "逐字符一致的标识", _exact),
)
"""Every rule, with titles for people."""

_BY_NAME: Final = {rule.name: rule for rule in RULES}
