"""What to send to the contracts, as bytes.

Each function returns the data of a transaction: four bytes that name a function of
the contract, and its arguments in words of 32 bytes. Whoever signs and sends it needs
no interface and no compiler. Texts are the one thing that does not fit a word: where
one belongs, its distance from the start of the arguments stands instead.

Source: Solidity's contract ABI specification, which Vyper keeps.
"""

import re
from collections.abc import Sequence
from typing import Final

from crypto.encoding import sha256
from crypto.errors import Malformed
from ledger import shape
from ledger.contracts import anchors, participants

ZERO: Final = bytes(32)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_SUITE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


def anchor(*, epoch: int, commitment: bytes, previous: bytes) -> bytes:
    """Anchor the sender's next checkpoint (`Anchors.anchor`).

    Args:
        epoch: The sender's last epoch plus one.
        commitment: 32 bytes, not all zero.
        previous: The commitment before, 32 bytes, zeros at the first.
    """
    words = _word(epoch) + _digest(commitment) + _digest(previous)
    return anchors().selectors["anchor"] + words


def vote(*, did: str, account: str | None, in_favour: bool = True) -> bytes:
    """Vote that an account speak for a DID (`Participants.vote`).

    Args:
        did: The DID.
        account: The address to be admitted; None to expel whoever speaks for it.
        in_favour: False takes the sender's own vote back.

    Raises:
        Malformed: Not a DID, or not an address.
    """
    head = _word(3 * 32) + account_word(account) + _word(int(in_favour))
    return participants().selectors["vote"] + head + _text(did)


def set_key(*, suite: str, fingerprint: bytes) -> bytes:
    """Set the sender's key of a suite (`Participants.set_key`).

    Args:
        suite: The suite's name.
        fingerprint: Of the public key (`ledger.registry.fingerprint`), 32 bytes.

    Raises:
        Malformed: The suite's name is none, or the fingerprint has another length.
    """
    words = suite_word(suite) + _digest(fingerprint)
    return participants().selectors["set_key"] + words


def revoke_key(*, suite: str, fingerprint: bytes) -> bytes:
    """Revoke the sender's key of a suite (`Participants.revoke_key`). As `set_key`."""
    words = suite_word(suite) + _digest(fingerprint)
    return participants().selectors["revoke_key"] + words


def create_participants(
    founders: Sequence[tuple[str, str]],
    *,
    operator: str | None = None,
    majority: int = 0,
) -> bytes:
    """Create a registry of participants: to be sent to nobody.

    Args:
        founders: DID and account of each first member.
        operator: Who alone decides about membership; None where members vote.
        majority: The share of members that a vote must exceed, in percent, 50 to 99;
            0 with an operator.

    Raises:
        Malformed: One of them is not a DID or not an address.
    """
    each = [
        _word(2 * 32) + account_word(account) + _text(did) for did, account in founders
    ]
    starts = [32 * len(each) + sum(map(len, each[:n])) for n in range(len(each))]
    array = _word(len(each)) + b"".join(map(_word, starts)) + b"".join(each)
    head = _word(3 * 32) + account_word(operator) + _word(majority)
    return participants().bytecode + head + array


def did_word(did: str) -> bytes:
    """Return the word by which the registry knows a DID.

    Raises:
        Malformed: It is none.
    """
    return sha256(shape.did(did, "did").encode())


def suite_word(suite: str) -> bytes:
    """Return the word by which the registry knows a suite of keys.

    Raises:
        Malformed: Not 1 to 32 lower-case letters, digits and hyphens.
    """
    if not _SUITE.fullmatch(suite):
        raise Malformed("a suite is named by 1 to 32 of a-z, 0-9 and -")
    return suite.encode().ljust(32, b"\0")


def account_word(account: str | None) -> bytes:
    """Return an address as a word; None stands for nobody, which zeros are on chain.

    Raises:
        Malformed: Not an address, or the one of zeros: say None where it is meant.
    """
    if account is None:
        return ZERO
    if not _ADDRESS.fullmatch(account):
        raise Malformed("an address is 0x and 40 hex digits")
    if not any(word := bytes.fromhex(account[2:]).rjust(32, b"\0")):
        raise Malformed("the address of zeros is nobody's")
    return word


def is_did(text: str) -> bool:
    """Say whether a text is a DID. The registry itself takes any."""
    try:
        shape.did(text, "did")
    except Malformed:
        return False
    return True


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _digest(value: bytes) -> bytes:
    if len(value) != 32:
        raise Malformed(f"a digest has 32 bytes, not {len(value)}")
    return value


def _text(did: str) -> bytes:
    raw = shape.did(did, "did").encode()
    return _word(len(raw)) + raw.ljust(-(-len(raw) // 32) * 32, b"\0")
