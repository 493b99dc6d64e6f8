"""Send: a signed message to a partner's node, with a token for this one call.

For messages that change something at the partner's; a query goes its own way
(`node.services.ask`), because its refusals carry receipts.
"""

from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u
from ledger.participants import Participant
from ledger.receipts import request_hash
from node.errors import NotFound, Unavailable
from node.ports import Identity, Peers, Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Posts JSON to partners, each time under a fresh nonce."""

    identity: Identity
    peers: Peers
    randomness: Randomness

    def partner(self, did: str) -> Participant:
        """Return a participant that the registry pins.

        Raises:
            NotFound: It pins no such participant.
        """
        found = self.identity.participant(did)
        if found is None:
            detail = f"{did} is not in the consortium's registry."
            raise NotFound("participant.unknown", detail)
        return found

    async def __call__(
        self, partner: Participant, path: str, body: Any, agreement: str | None = None
    ) -> Any:
        """Post a message; return what the partner's node answered.

        Args:
            agreement: The agreement that the message is about, if any.

        Raises:
            Unavailable: The node did not answer, or not with success.
        """
        token = self.identity.issue(
            audience=partner.did,
            bound_to=request_hash(path, body),
            agreement=agreement,
            nonce=b64u(self.randomness(32)),
        )
        reply = await self.peers.post(partner, path, body, token=token)
        if reply.status >= 300:
            code = reply.body.get("code", "") if isinstance(reply.body, dict) else ""
            detail = f"{partner.did} answered {reply.status} {code!s:.64} to {path}."
            raise Unavailable("partner.refused", detail)
        return reply.body
