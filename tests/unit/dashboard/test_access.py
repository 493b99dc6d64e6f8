"""Doors, throttles, sessions, and which requests may change something."""

import datetime
import hashlib
from dataclasses import dataclass

import pytest
from starlette.datastructures import Headers

from dashboard.access import IDLE, LIFETIME, AccessKey, Person, Role, Sessions, Throttle
from dashboard.pages.sign_in import _next
from dashboard.security import from_own_page

OWN = "http://127.0.0.1:8201"
SOMEBODY = Person(name="somebody", role=Role.COMPLIANCE)


@dataclass
class Hand:
    """A clock that is moved by hand."""

    at: datetime.datetime = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)

    def now(self) -> datetime.datetime:
        return self.at


def test_only_the_right_key_opens() -> None:
    door = AccessKey(sha256=hashlib.sha256(b"right").hexdigest())
    assert door.person("right") is not None
    assert door.person(" right\n") is not None  # copied with its white space
    assert door.person("wrong") is None
    assert door.person("") is None


def test_a_session_ends_by_idling() -> None:
    clock = Hand()
    sessions = Sessions(clock=clock)
    name = sessions.begin(SOMEBODY)
    clock.at += IDLE
    assert sessions.person(name) == SOMEBODY
    clock.at += IDLE + datetime.timedelta(seconds=1)
    assert sessions.person(name) is None


def test_a_session_ends_after_its_lifetime_however_busy() -> None:
    clock = Hand()
    sessions = Sessions(clock=clock)
    name = sessions.begin(SOMEBODY)
    for _ in range(LIFETIME // IDLE):
        clock.at += IDLE
        assert sessions.person(name)
    clock.at += IDLE
    assert sessions.person(name) is None


def test_signing_out_ends_the_session() -> None:
    sessions = Sessions(clock=Hand())
    name = sessions.begin(SOMEBODY)
    sessions.end(name)
    assert sessions.person(name) is None


def test_the_session_table_does_not_hold_what_the_cookie_holds() -> None:
    sessions = Sessions(clock=Hand())
    name = sessions.begin(SOMEBODY)
    assert name not in repr(sessions)


def test_guessing_is_slowed_down_and_forgiven_later() -> None:
    clock = Hand()
    throttle = Throttle(clock=clock)
    for _ in range(5):
        assert not throttle.wait("10.0.0.1")
        throttle.failed("10.0.0.1")
    assert throttle.wait("10.0.0.1") == datetime.timedelta(minutes=5)
    assert not throttle.wait("10.0.0.2")
    clock.at += datetime.timedelta(minutes=5)
    assert not throttle.wait("10.0.0.1")


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site", "origin": OWN}, False),
        ({"sec-fetch-site": "cross-site", "origin": OWN}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": OWN}, True),
        ({"origin": "http://127.0.0.1:8202"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_only_our_own_pages_may_change_something(
    headers: dict[str, str], own: bool
) -> None:
    assert from_own_page(Headers(headers), OWN) is own


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("/calls?decision=deny", "/calls?decision=deny"),
        ("", "/"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("calls", "/"),
        ("/a\nSet-Cookie: x", "/"),
    ],
)
def test_signing_in_never_leads_away_from_the_dashboard(asked: str, goes: str) -> None:
    assert _next(asked) == goes
