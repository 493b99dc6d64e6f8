"""A federated sum, cryptography only: each party's work, and the asker's, by itself.

Five parties, 4,096 cells. Everything that FP-AGG-1 computes is computed, by the kernels
that nodes use, and nothing else: no HTTP, no policy, no receipts, no database, no noise
and no reading of rows. What each side does is timed apart, because in life each has a
machine of its own; here they take turns on one.

Beside it plain TenSEAL in the same run: the same vectors encrypted under the same
parameters, sent, added and decrypted. That hides no row from whoever has the key,
and nothing shows that a sum is right.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import tenseal as ts

from crypto.bbs.suite import ORDER
from crypto.encoding import b64u, canonical, parse_json, sha256
from crypto.kernels import bfv, rows
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from crypto.keys import Ed25519Key, X25519Key, verify_ed25519
from crypto.parameters import parameter_set
from ledger.rosters import (
    Acceptance,
    Roster,
    SignedAcceptance,
    parse_roster,
    sign_acceptance,
)

T = TypeVar("T")
SET: Final = parameter_set("bfv-4096-40")
NAME: Final = SET.name.encode()
PARTIES: Final = 5
CELLS: Final = 4096
MOST: Final = 1 << 20
"""No cell of a party is larger: 20 bits."""


@dataclass
class Took:
    """Milliseconds, by who and what; and octets that were sent."""

    ms: dict[tuple[str, str], float] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    def timed(self, who: str, what: str, work: Callable[[], T]) -> T:
        """Do something, and count how long it takes."""
        begun = time.perf_counter()
        made = work()
        spent = (time.perf_counter() - begun) * 1000
        self.ms[who, what] = self.ms.get((who, what), 0.0) + spent
        return made

    def of(self, who: str) -> float:
        """Return what one side's work took."""
        return sum(ms for (name, _), ms in self.ms.items() if name == who)

    @property
    def total(self) -> float:
        """Everybody's work, one after the other on one core."""
        return sum(self.ms.values())

    @property
    def critical(self) -> float:
        """The slowest party's work, then the asker's: parties work at once."""
        sides = {name for name, _ in self.ms} - {"asker"}
        return max(map(self.of, sides)) + self.of("asker")


def table(seed: int) -> list[int]:
    """A row of cells of up to 20 bits."""
    return [(seed * 2654435761 + cell * 40503) % MOST for cell in range(CELLS)]


ROWS: Final = [table(number) for number in range(1, PARTIES + 1)]
SUMS: Final = [sum(cells) for cells in zip(*ROWS, strict=True)]


@dataclass(frozen=True)
class Party:
    """One company's keys."""

    did: str
    signer: Ed25519Key
    secret: bytes

    def accept(self, plan: str) -> SignedAcceptance:
        """Promise to take part."""
        key = X25519Key.from_bytes(self.secret)
        acceptance = Acceptance(
            plan=plan,
            party=self.did,
            mask_key=b64u(key.public_bytes),
            expires="2026-11-24T00:00:00Z",
            key_id=self.signer.key_id(self.did),
        )
        return sign_acceptance(acceptance, self.signer)

    def check(self, roster: Mapping[str, Any], pins: Mapping[str, bytes]) -> Roster:
        """Read a roster, and check every signature in it."""
        found = parse_roster(roster)
        verified(found, pins)
        return found

    def masks(self, roster: Roster, round_id: bytes) -> bytes:
        """Draw what is added to the row and to the blinding."""
        others = roster.keys(without=self.did).items()
        return rows.masks(
            self.secret,
            self.did.encode(),
            round_id,
            bytes.fromhex(roster.roster_hash),
            numbers([CELLS, SET.plain_modulus]),
            *(pack(name.encode(), public) for name, public in others),
        )


def verified(roster: Roster, pins: Mapping[str, bytes]) -> None:
    """Check every signature of a roster, as `ledger.rosters` does."""
    for signed in roster.acceptances:
        message = signed.acceptance.signed_bytes()
        verify_ed25519(pins[signed.acceptance.party], message, signed.signature)


def encrypted(public: bytes, cells: list[int], masks: bytes) -> bytes:
    """Mask a row, and encrypt it."""
    half, prime = SET.most, SET.plain_modulus
    masked = [
        (cell + mask + half) % prime - half
        for cell, mask in zip(cells, parse_numbers(masks), strict=True)
    ]
    return bfv.encrypt(NAME, public, numbers([half]), numbers(masked))


def round_of_five() -> Took:
    """Add up five rows, from the asker's key to the checked sum."""
    took, round_id, plan = Took(), secrets.token_bytes(32), secrets.token_hex(32)
    parties = [_party(number) for number in range(1, PARTIES + 1)]
    pins = {each.did: each.signer.public_bytes for each in parties}
    secret, public = unpack(
        took.timed("asker", "make a key", lambda: bfv.key_pair(NAME))
    )
    accepted = [
        took.timed(each.did, "accept", partial(each.accept, plan)) for each in parties
    ]
    roster = took.timed("asker", "check the roster", lambda: _roster(accepted, pins))
    told = roster.to_json()
    took.sent["roster, to each party"] = len(canonical(told))
    took.sent["key, to each party"] = len(public)
    given = [
        _contribution(took, party, cells, (told, pins, round_id, public))
        for party, cells in zip(parties, ROWS, strict=True)
    ]
    took.sent["ciphertext, from each party"] = len(given[0][0])
    took.sent["commitment and blinding, from each party"] = 48 + 32
    _open(took, secret, given)
    return took


def _party(number: int) -> Party:
    did = f"did:web:p{number}.example"
    return Party(
        did=did,
        signer=Ed25519Key.from_bytes(sha256(did.encode())),
        secret=secrets.token_bytes(32),
    )


def _roster(accepted: list[SignedAcceptance], pins: Mapping[str, bytes]) -> Roster:
    roster = Roster(tuple(accepted))
    verified(roster, pins)
    return roster


def _contribution(
    took: Took, party: Party, cells: list[int], told: tuple[Any, ...]
) -> tuple[bytes, bytes, int]:
    written, pins, round_id, public = told
    who = party.did
    found = took.timed(
        who,
        "check the roster",
        lambda: party.check(_read(canonical(written)), pins),
    )
    took.timed(who, "check the key", lambda: bfv.digest(NAME, public))
    row, mask = unpack(
        took.timed(who, "draw masks", lambda: party.masks(found, round_id))
    )
    ciphertext = took.timed(who, "encrypt", lambda: encrypted(public, cells, row))
    blinding = int.from_bytes(secrets.token_bytes(64), "big") % ORDER
    commitment = took.timed(
        who, "commit", lambda: rows.commit(rows.scalar(blinding), numbers(cells))
    )
    hidden = (blinding + int.from_bytes(mask, "big")) % ORDER
    return ciphertext, commitment, hidden


def _read(octets: bytes) -> Any:
    return parse_json(octets)


def _open(took: Took, secret: bytes, given: list[tuple[bytes, bytes, int]]) -> None:
    ciphertexts = [each[0] for each in given]
    for each in ciphertexts:
        took.timed(
            "asker",
            "check ciphertexts",
            partial(bfv.check_ciphertext, NAME, each),
        )
    most = numbers([SET.most])
    total = took.timed("asker", "add", lambda: bfv.add(NAME, most, *ciphertexts))
    opened = took.timed(
        "asker", "decrypt", lambda: bfv.decrypt(NAME, secret, most, total)
    )
    blinding = rows.scalar(sum(each[2] for each in given) % ORDER)
    commitments = [each[1] for each in given]
    took.timed(
        "asker",
        "check the sum",
        lambda: rows.check_sum(blinding, opened, *commitments),
    )
    assert parse_numbers(opened) == SUMS


def plain_context() -> Any:
    """Return a TenSEAL context of the same degree and plain modulus."""
    return ts.context(ts.SCHEME_TYPE.BFV, SET.slots, SET.plain_modulus)


def plain_tenseal(context: Any) -> Took:
    """Encrypt, send, add and decrypt the same rows by TenSEAL alone."""
    took = Took()
    sent = [
        took.timed(
            f"party {number}",
            "encrypt",
            partial(_sent, context, cells),
        )
        for number, cells in enumerate(ROWS)
    ]
    read = [
        took.timed("asker", "read", partial(ts.bfv_vector_from, context, each))
        for each in sent
    ]
    total = took.timed("asker", "add", lambda: sum(read[1:], read[0]))
    opened = took.timed("asker", "decrypt", total.decrypt)
    assert opened == SUMS
    took.sent["ciphertext, from each party"] = len(sent[0])
    return took


def _sent(context: Any, cells: list[int]) -> bytes:
    octets: bytes = ts.bfv_vector(context, cells).serialize()
    return octets
