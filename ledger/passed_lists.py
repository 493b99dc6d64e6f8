"""Passed lists: whose list it is that comes round, said by the one who sent it on.

In a ring count all lists go through the asker's hands. What it hands a party as
another's list could be a list of its own: a longer one than was agreed, or parts of
one, to find out which customers are shared and not how many. So whoever sends a list
on signs it: *for this plan, of this side, this list*. Who is to multiply it next looks
at the signature, and multiplies nothing that the asker made up.

It shows that a list came from a party, not that the party's customers are in it.

Spec: `docs/protocols/fp-psi-sum-1.md`, section "Three companies".
"""

from dataclasses import dataclass
from typing import Final

from crypto.encoding import canonical, tagged
from crypto.errors import InvalidSignature
from crypto.signing import Signer
from ledger import shape
from ledger.participants import Participant

TYPE: Final = "fieldpact/passed-list/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedList:
    """A list, as its sender names it.

    Attributes:
        plan: Hash of the plan, 64 hex digits.
        of: DID of the side whose customers are in it.
        sender: DID of the party that sends it on.
        points: SHA-256 of its points in the order in which they are sent, 64 hex
            digits.
    """

    plan: str
    of: str
    sender: str
    points: str

    def signed_bytes(self) -> bytes:
        """Return the bytes under the signature, tag included."""
        members = {name: getattr(self, name) for name in self.__slots__}
        return tagged("passed-list", canonical({"typ": TYPE, **members}))


def sign_passed(passed: PassedList, key: Signer) -> bytes:
    """Sign a list as its sender, with the key that signs receipts; 64 bytes."""
    return key.sign(passed.signed_bytes())


def verify_passed(passed: PassedList, signature: object, sender: Participant) -> None:
    """Check the sender's signature under the key that it signs with today.

    Args:
        passed: Made by the reader, of the list that it was handed.
        signature: As it came: base64url of 64 bytes.
        sender: The sender, as *pinned*.

    Raises:
        Malformed: The signature is none.
        InvalidSignature: Another participant's, or not of this list.
    """
    if passed.sender != sender.did:
        raise InvalidSignature("the list of another participant")
    octets = shape.octets(64)(signature, "signature")
    sender.signing.verify(passed.signed_bytes(), octets)
