"""Synthetic customers, the same on every machine.

`random` is not used: its sequence belongs to one version of one library. Here
every choice is SHA-256 of what is chosen, so any single value can be made again
by itself, in any language.

Nothing here belongs to anybody: the credit codes carry the region 99, which no
authority has, with a right check digit; the telephone numbers begin with 12,
which no Chinese mobile number does; the names are put together from parts.
"""

import datetime
import hashlib
from dataclasses import dataclass
from typing import Final, TypeVar

from stdnum.cn import uscc

from examples.demo import words

_FIRST_DUE: Final = datetime.date(2027, 1, 4)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A fleet operator, as every company knows it."""

    code: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one company knows about one of its customers.

    Attributes:
        due: A date, `YYYY-MM-DD`.
        amount: Yuan, with two digits.
    """

    key: str
    customer: Customer
    stage: str
    due: str
    amount: str
    contact: str
    phone: str


def customer(number: int) -> Customer:
    """Return a customer; two numbers below 9,600 never give the same name."""
    place, rest = divmod(number * 7919 % 9600, 240)
    mark, trade = divmod(rest, 6)
    places, marks, trades = words.PLACES[place], words.MARKS[mark], words.TRADES[trade]
    return Customer(
        code=credit_code(number),
        name_zh=f"{places[0]}{marks[0]}{trades[0]}有限公司",
        name_en=f"{places[1]} {marks[1]} {trades[1]} Co., Ltd.",
    )


def credit_code(number: int) -> str:
    """Return a unified social credit code (GB 32100) of the region 99."""
    region = f"99{choose(100, 'district', number):02d}00"
    body = f"91{region}MA{number:06d}{choose(10, 'body', number)}"
    return body + uscc.calc_check_digit(body)


def record(company: str, number: int, stages: tuple[str, ...]) -> Record:
    """Return what a company knows about a customer.

    Args:
        company: Its short name; two companies know different things.
        number: Of the customer.
        stages: The words it has for the state of an order.
    """

    def pick(what: str, count: int) -> int:
        return choose(count, company, what, number)

    amount = 100_000_00 + pick("amount", 9_000_000_00)
    given = words.GIVEN[pick("given", len(words.GIVEN))]
    due = _FIRST_DUE + datetime.timedelta(days=pick("due", 720))
    return Record(
        key=f"{company[:2].upper()}-{pick('key', 10**6):06d}-{number:05d}",
        customer=customer(number),
        stage=stages[pick("stage", len(stages))],
        due=due.isoformat(),
        amount=f"{amount // 100}.{amount % 100:02d}",
        contact=words.FAMILY[pick("family", len(words.FAMILY))] + given,
        phone=f"12{pick('phone', 10**9):09d}",
    )


def choose(count: int, *what: object) -> int:
    """Return a number below `count`: always the same for the same `what`."""
    seed = "/".join(map(str, ("fieldpact demo", *what)))
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % count
