"""What can go wrong in the node, by who is at fault and what can be done.

    NodeError
    ├── BadRequest        400  the caller's message does not parse or fit
    ├── Unauthenticated   401  nobody we know signed the message
    ├── Refused           403  the policy said no; a receipt exists
    ├── NotFound          404  no such thing, or not for this caller
    ├── Conflict          409  the state does not allow it (any more)
    ├── Gone              410  it was here, and has been erased
    └── Unavailable       503  something we need did not answer

Every error carries a `code` that a person can look up and act on. Foreign
exceptions are translated once, in the adapter. Only `node.api.problems` knows
HTTP.
"""

from collections.abc import Mapping
from typing import Any


class NodeError(Exception):
    """Base of all errors that the node reports to a caller.

    Args:
        code: Stable dotted name, for example `purpose.mismatch`.
        detail: One sentence for a person: what is wrong and how to mend it.
        extra: JSON members to add to the problem document.
    """

    def __init__(
        self, code: str, detail: str, *, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.extra: Mapping[str, Any] = extra or {}


class BadRequest(NodeError):
    """The caller's message does not parse or does not fit."""


class Unauthenticated(NodeError):
    """Nobody we know signed the message."""


class Refused(NodeError):
    """The policy said no. The receipt of the refusal is in `extra`."""


class NotFound(NodeError):
    """No such thing, or not for this caller: the two look alike."""


class Conflict(NodeError):
    """The state does not allow it, or does not allow it any more."""


class Gone(NodeError):
    """It was here, and has been erased; that it was here is still known."""


class Unavailable(NodeError):
    """Something the node needs did not answer; nothing was disclosed."""
