"""Who may look: the access key, its throttle, and sessions.

A dashboard of this size has one door: an access key of high entropy, of which
the settings hold only the SHA-256. (A plain hash is enough for 256 random bits;
it would not be for a word that somebody chose.) Doors are behind `Door`, so that
signing in with an identity provider can be added beside it: it too ends in a
`Person` with a role, and nothing behind the door changes.

A session is a random 256-bit name in an HttpOnly, SameSite=Strict cookie. The
server keeps it only as a hash, in memory: a restart signs everybody out, and
reading the process's session table lets nobody in.
"""

import datetime
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from dashboard.system import Clock

IDLE: Final = datetime.timedelta(minutes=30)
LIFETIME: Final = datetime.timedelta(hours=12)
_MAX_SESSIONS: Final = 10_000
_MAX_ADDRESSES: Final = 10_000


class Role(StrEnum):
    """What a person looks at the dashboard for."""

    COMPLIANCE = "compliance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who came through a door."""

    name: str
    role: Role


class Door(Protocol):
    """One way to sign in."""

    def person(self, secret: str) -> Person | None:
        """Return who holds this secret, or None. Takes the same time for both."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """The door that opens to one key.

    Attributes:
        sha256: SHA-256 of the key's UTF-8 bytes, 64 lower-case hex digits.
    """

    sha256: str

    def person(self, secret: str) -> Person | None:
        """Return the holder of the key, or None for any other secret."""
        given = hashlib.sha256(secret.strip().encode()).hexdigest()
        if not hmac.compare_digest(given, self.sha256):
            return None
        return Person(name="access key", role=Role.COMPLIANCE)


@dataclass(slots=True, kw_only=True)
class Throttle:
    """Slows down guessing: `limit` failures per address within `period`."""

    clock: Clock
    limit: int = 5
    period: datetime.timedelta = datetime.timedelta(minutes=5)
    _failures: OrderedDict[str, list[datetime.datetime]] = field(
        default_factory=OrderedDict
    )

    def wait(self, address: str) -> datetime.timedelta:
        """Return how long this address must wait before it may try again."""
        now = self.clock.now()
        recent = [
            at for at in self._failures.get(address, []) if now - at < self.period
        ]
        if len(recent) < self.limit:
            return datetime.timedelta()
        return recent[-self.limit] + self.period - now

    def failed(self, address: str) -> None:
        """Remember a failure; the oldest addresses are forgotten beyond 10,000."""
        self._failures[address] = [
            *self._failures.pop(address, [])[1 - self.limit :],
            self.clock.now(),
        ]
        if len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)


@dataclass(slots=True, kw_only=True)
class _Session:
    person: Person
    began_at: datetime.datetime
    seen_at: datetime.datetime


@dataclass(slots=True, kw_only=True)
class Sessions:
    """Open sessions, by the SHA-256 of the cookie that names them."""

    clock: Clock
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
    _open: OrderedDict[bytes, _Session] = field(default_factory=OrderedDict)

    def begin(self, person: Person) -> str:
        """Open a session and return its cookie's value."""
        name = self.random_bytes(32).hex()
        now = self.clock.now()
        self._open[_hidden(name)] = _Session(person=person, began_at=now, seen_at=now)
        if len(self._open) > _MAX_SESSIONS:
            self._open.popitem(last=False)
        return name

    def person(self, name: str, *, used: bool = True) -> Person | None:
        """Return whose session this is, or None when it is over or never was.

        Args:
            used: Whether a person asks; a page that keeps itself up to date is none.
        """
        session = self._open.get(_hidden(name))
        if session is None:
            return None
        now = self.clock.now()
        if now - session.seen_at > IDLE or now - session.began_at > LIFETIME:
            self.end(name)
            return None
        if used:
            session.seen_at = now
        return session.person

    def end(self, name: str) -> None:
        """Close a session; closing one twice is harmless."""
        self._open.pop(_hidden(name), None)


def _hidden(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
