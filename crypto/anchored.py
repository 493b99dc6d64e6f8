"""Anchored records: a commitment that is made once, in public, before anyone asks.

A company that both signs and shows a record can sign another one at will. So it
publishes, when it publishes the record, the point that the signature is on:

    C_rec = P1 + Q_1*domain + H_0*blinder + H_1*link + H_2*m_2 + ...

It hides the record perfectly (for every record there is one blinder that gives
this point) and binds to it (two records with one point give a discrete logarithm
between the generators away). The leaves of all records form an RFC 9162 tree
whose root is anchored; from then on a presentation with `Statement.anchored`
shows fields of *that* record or nothing.

Not shown: that the record is true, or that no other record was committed to for
the same customer. The second can be seen by those who hold the tree's leaves to
the list of customers; see the specification.

Spec: `docs/protocols/fp-bbs-1.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from crypto.bbs.core import RandomBytes
from crypto.bbs.keys import BbsKey
from crypto.bbs.suite import SCALAR_BYTES
from crypto.encoding import sha256, tagged
from crypto.typed import TYPED, Header, Schema, scalars

BLINDER_BYTES: Final = 48
"""Octets of a blinder, and of a link: reduced modulo r they are uniform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a company keeps of a record it committed to. Secret, but for one thing.

    Attributes:
        scalars: All messages, 32 bytes each, joined; blinder and link among them.
        blinder: The 48 random bytes that the first message was made of.
        signature: BBS signature, 80 bytes.
        commitment: C_rec, 48 bytes: public.
    """

    scalars: bytes = field(repr=False)
    blinder: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    commitment: bytes

    @property
    def messages(self) -> list[bytes]:
        """The messages, one by one."""
        data, step = self.scalars, SCALAR_BYTES
        return [data[at : at + step] for at in range(0, len(data), step)]

    @property
    def digest(self) -> bytes:
        """A hash of link and fields, 32 bytes: the same until a value changes.

        The link, a secret, keeps values from being guessed from it; the blinder
        is not in it, so it is the same for every grant. It says nothing of the
        schema: two amounts of different currencies may have one digest.
        """
        return _digest(self.scalars)


def seal(
    values: Mapping[str, object],
    *,
    key: BbsKey,
    header: Header,
    schema: Schema,
    link: bytes,
    random_bytes: RandomBytes,
) -> Sealed:
    """Commit to a record and sign it, once, when it is published.

    Args:
        values: Value by name, for every field of the schema.
        key: The company's key, the one that `header` names.
        header: Says whose record of what it is, and for which grant.
        schema: Orders and types the fields.
        link: 48 random bytes, secret, the same for this record in every grant.
        random_bytes: Gives the blinder: fresh for every record and grant.

    Raises:
        Malformed: A field is missing or unknown, a value out of form, or the
            header of another schema.
    """
    header.check(schema)
    blinder = random_bytes(BLINDER_BYTES)
    if len(blinder) != BLINDER_BYTES or len(set(blinder)) < 2:
        raise ValueError("the source of random bytes is broken")
    messages = scalars(schema, values, blinder=blinder, link=link)
    commitment, signature = key.seal_scalars(
        header.to_bytes(), messages, suite=TYPED, random_bytes=random_bytes
    )
    return Sealed(
        scalars=b"".join(messages),
        blinder=blinder,
        signature=signature,
        commitment=commitment,
    )


def reopen(
    schema: Schema,
    values: Mapping[str, object],
    *,
    blinder: bytes,
    link: bytes,
    signature: bytes,
    commitment: bytes,
) -> Sealed:
    """Put a sealed record together again, from what was kept and its values.

    Nothing is checked: with values that have changed since it was sealed, every
    proof is false. Compare `Sealed.digest` with the one kept before proving.

    Args:
        schema: As when the record was sealed, every field told.
        values: Value by name, for every field.
        blinder: `Sealed.blinder`, 48 bytes.
        link: As given to `seal`, 48 bytes.
        signature: `Sealed.signature`, 80 bytes.
        commitment: `Sealed.commitment`, 48 bytes.

    Raises:
        Malformed: A field is missing or unknown, or a value out of form.
    """
    messages = scalars(schema, values, blinder=blinder, link=link)
    return Sealed(
        scalars=b"".join(messages),
        blinder=blinder,
        signature=signature,
        commitment=commitment,
    )


def record_digest(schema: Schema, values: Mapping[str, object], link: bytes) -> bytes:
    """Return `Sealed.digest` of a record that need not be sealed: 32 bytes.

    Raises:
        Malformed: A field is missing or unknown, or a value out of form.
    """
    messages = scalars(schema, values, blinder=bytes(BLINDER_BYTES), link=link)
    return _digest(b"".join(messages))


def _digest(messages: bytes) -> bytes:
    return sha256(tagged("record-digest", messages[SCALAR_BYTES:]))
