"""Rosters: who takes part is who has signed that it does, for this plan alone."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crypto.encoding import b64u, canonical, parse_json
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from crypto.signing import Verifier
from ledger.participants import Participant, PastKey
from ledger.plan_laws import Kind
from ledger.plans import Plan
from ledger.rosters import (
    MOST,
    Acceptance,
    Roster,
    SignedAcceptance,
    parse_acceptance,
    parse_roster,
    sign_acceptance,
    verify_acceptance,
    verify_roster,
)
from tests.unit.ledger.planned import party, plan, second_round
from tests.unit.ledger.samples import PROVIDER_RECORD, seed

AT = "2026-11-22T19:00:00Z"
PLAN = plan(Kind.FEDERATED_SUM)
DIDS = [each.did for each in PLAN.parties]
KEYS = {did: Ed25519Key.from_bytes(seed(did)) for did in [*DIDS, "did:web:other"]}
PINS: dict[str, Participant] = {
    did: replace(
        PROVIDER_RECORD,
        did=did,
        keys={**PROVIDER_RECORD.keys, "ed25519": key.public_bytes},
    )
    for did, key in KEYS.items()
}


def accepted(did: str, of: Plan = PLAN, **changes: Any) -> SignedAcceptance:
    """A party's word, changed as said before it is signed."""
    facts = {
        "plan": of.plan_hash,
        "party": did,
        "mask_key": b64u(seed(f"mask {did}")),
        "expires": of.expires,
        "key_id": KEYS[did].key_id(did),
    }
    return sign_acceptance(Acceptance(**(facts | changes)), KEYS[did])


def roster(*changed: SignedAcceptance) -> Roster:
    """Everybody's word, some of them replaced."""
    every = {did: accepted(did) for did in DIDS}
    every |= {each.acceptance.party: each for each in changed}
    return Roster(tuple(every[did] for did in sorted(every)))


def check(of: Roster, *, against: Plan = PLAN, at: str = AT) -> None:
    verify_roster(of, against, PINS.get, at=at)


def test_a_roster_of_everybodys_word_is_taken() -> None:
    check(roster())


def test_render_then_parse_is_the_same() -> None:
    made = roster()
    read = parse_roster(parse_json(canonical(made.to_json())))
    assert read == made
    assert read.roster_hash == made.roster_hash
    assert read.parties == tuple(DIDS)


def test_the_hash_is_of_what_was_accepted_and_not_of_signatures() -> None:
    made, one = roster(), accepted(DIDS[0])
    other = replace(one, signature=bytes(64))
    assert roster(other).roster_hash == made.roster_hash
    fresh = accepted(DIDS[0], mask_key=b64u(seed("fresh")))
    assert roster(fresh).roster_hash != made.roster_hash


def written(each: Acceptance) -> bytes:
    """The canonical JSON of an acceptance, letter by letter."""
    return (
        f'{{"expires":"2026-11-23T18:00:00Z","key_id":"{each.key_id}",'
        f'"mask_key":"{each.mask_key}","party":"{each.party}",'
        f'"plan":"{PLAN.plan_hash}","typ":"fieldpact/acceptance/1"}}'
    ).encode()


def test_what_is_signed_says_what_it_is() -> None:
    one = accepted(DIDS[0])
    wanted = b"fieldpact/acceptance/1\x00" + written(one.acceptance)
    assert one.acceptance.signed_bytes() == wanted
    assert one.signature == KEYS[DIDS[0]].sign(wanted)


def test_the_hash_of_a_roster_says_what_it_is() -> None:
    made = roster()
    cores = b",".join(written(each.acceptance) for each in made.acceptances)
    wanted = hashlib.sha256(b"fieldpact/roster/1\x00[" + cores + b"]")
    assert made.roster_hash == wanted.hexdigest()


def test_a_roster_says_what_it_is() -> None:
    told = roster().to_json()
    assert told["typ"] == "fieldpact/roster/1"
    for wrong in ("fieldpact/roster/2", "fieldpact/acceptance/1", None):
        with pytest.raises(Malformed):
            parse_roster(told | {"typ": wrong})


def test_a_roster_has_twenty_parties_at_most() -> None:
    dids = [f"did:web:party{at:02}" for at in range(MOST + 1)]
    every = tuple(
        SignedAcceptance(
            acceptance=replace(
                accepted(DIDS[0]).acceptance,
                party=did,
                mask_key=b64u(seed(did)),
                key_id=f"{did}#key",
            ),
            signature=bytes(64),
        )
        for did in dids
    )
    whole = Roster(every[:20])
    assert parse_roster(whole.to_json()) == whole
    with pytest.raises(Malformed, match="3 to 20"):
        Roster(every)
    with pytest.raises(Malformed, match="at most 20"):
        parse_roster({**whole.to_json(), "acceptances": [e.to_json() for e in every]})


def test_keys_are_told_by_party() -> None:
    made = roster()
    others = made.keys(without=DIDS[0])
    assert others == {did: seed(f"mask {did}") for did in DIDS[1:]}
    assert made.key(DIDS[0]) == seed(f"mask {DIDS[0]}")
    assert made.key("did:web:other") is None


def test_an_acceptance_of_another_plan_is_refused() -> None:
    other = accepted(DIDS[1], second_round())
    with pytest.raises(Malformed, match="several plans"):
        roster(other)
    everybody = [accepted(did, second_round()) for did in DIDS]
    with pytest.raises(InvalidProof, match="another plan"):
        check(roster(*everybody))


def test_a_roster_is_exactly_the_plans_parties() -> None:
    more = roster(accepted("did:web:other"))
    with pytest.raises(InvalidProof, match="other parties"):
        check(more)
    wider = plan(Kind.FEDERATED_SUM, parties=(*PLAN.parties, party(5)))
    with pytest.raises(InvalidProof, match="other parties"):
        check(roster(), against=wider)


def test_an_acceptance_ends() -> None:
    check(roster(), at="2026-11-23T17:59:59Z")
    with pytest.raises(InvalidProof, match="not in force"):
        check(roster(), at="2026-11-23T18:00:00Z")


def test_a_stranger_signs_for_nobody() -> None:
    one = accepted(DIDS[0])
    signature = KEYS["did:web:other"].sign(one.acceptance.signed_bytes())
    with pytest.raises(InvalidSignature):
        check(roster(replace(one, signature=signature)))


def test_nobody_is_believed_who_is_not_pinned() -> None:
    known = {did: pin for did, pin in PINS.items() if did != DIDS[2]}
    with pytest.raises(InvalidSignature, match="not pinned"):
        verify_roster(roster(), PLAN, known.get, at=AT)


def test_a_key_of_the_past_accepts_nothing() -> None:
    did, fresh = DIDS[0], Ed25519Key.from_bytes(seed("renewed"))
    former = Verifier(suite="ed25519", public=KEYS[did].public_bytes)
    past = PastKey(key=former, until="2026-11-01T00:00:00Z")
    keys = {**PINS[did].keys, "ed25519": fresh.public_bytes}
    renewed = replace(PINS[did], keys=keys, past_keys=(past,))
    with pytest.raises(InvalidSignature, match="not pinned"):
        verify_acceptance(accepted(did), renewed)


def test_the_acceptance_of_another_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="another participant"):
        verify_acceptance(accepted(DIDS[0]), PINS[DIDS[1]])


@pytest.mark.parametrize("name", ["plan", "mask_key", "expires"])
def test_no_member_can_be_changed_after_it_was_signed(name: str) -> None:
    one = accepted(DIDS[0])
    other = {
        "plan": seed("other").hex(),
        "mask_key": b64u(seed("other")),
        "expires": "2026-11-23T18:00:01Z",
    }[name]
    changed = replace(one.acceptance, **{name: other})
    with pytest.raises(InvalidSignature):
        verify_acceptance(replace(one, acceptance=changed), PINS[DIDS[0]])


def test_who_signs_names_its_own_key() -> None:
    with pytest.raises(Malformed, match="another's"):
        accepted(DIDS[0], key_id=KEYS[DIDS[1]].key_id(DIDS[1]))
    acceptance = accepted(DIDS[0]).acceptance
    with pytest.raises(ValueError, match="another key"):
        sign_acceptance(acceptance, KEYS[DIDS[1]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Roster(roster().acceptances[:2]),
        lambda: Roster(roster().acceptances[::-1]),
        lambda: Roster((*roster().acceptances[:2], roster().acceptances[1])),
        lambda: Roster(()),
        lambda: Roster(roster().acceptances * (MOST // 2)),
        lambda: roster(accepted(DIDS[0], mask_key=b64u(seed(f"mask {DIDS[1]}")))),
    ],
    ids=["two", "order", "twice", "nobody", "many", "one key"],
)
def test_a_roster_that_nobody_could_mean_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(Malformed):
        make()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("typ", "fieldpact/acceptance/2"),
        ("plan", "00"),
        ("party", "nobody"),
        ("mask_key", b64u(bytes(31))),
        ("mask_key", b64u(bytes(32))),  # of small order: everybody knows the mask
        ("mask_key", b64u(b"\x01" + bytes(31))),
        ("mask_key", 7),
        ("expires", "tomorrow"),
        ("key_id", ""),
        ("more", 1),
    ],
)
def test_an_acceptance_that_is_none_does_not_parse(name: str, value: object) -> None:
    written = accepted(DIDS[0]).to_json()
    written["acceptance"][name] = value
    with pytest.raises(Malformed):
        parse_acceptance(written)


def test_a_member_less_is_no_acceptance_and_no_roster() -> None:
    for name in accepted(DIDS[0]).to_json()["acceptance"]:
        written = accepted(DIDS[0]).to_json()
        del written["acceptance"][name]
        with pytest.raises(Malformed):
            parse_acceptance(written)
    for wrong in (None, {}, {"typ": "fieldpact/roster/1"}, roster().to_json()["typ"]):
        with pytest.raises(Malformed):
            parse_roster(wrong)
