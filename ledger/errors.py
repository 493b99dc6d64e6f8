"""What can go wrong with a ledger, by who is at fault.

    crypto.errors.CryptoError      somebody sent bytes that are wrong
    ├── Malformed                  they do not parse
    └── Invalid                    they parse and are false
    LedgerError
    ├── Inconsistent               a log's operator contradicts itself
    ├── Refused                    a contract or the chain's node said no, and why
    └── ChainUnavailable           the chain did not answer; nothing is known

`Inconsistent` is an accusation: one log, stream or account has made two
statements of which one cannot follow the other. `ChainUnavailable` accuses
nobody, and must never be read as "the anchor is missing".
"""


class LedgerError(Exception):
    """Base of the errors that only a ledger has."""


class Inconsistent(LedgerError):
    """Two statements of one operator do not go together."""


class Refused(LedgerError):
    """A contract, or the chain's node, refuses; nothing changed. The text says why."""


class ChainUnavailable(LedgerError):
    """The chain did not answer, or not in time. Nothing is known from it."""
