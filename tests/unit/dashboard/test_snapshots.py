"""What the audit API tells of the snapshot behind a receipt, before any check."""

from dashboard.snapshots import committed, numbers

SIGNED = {"snapshot": {"sequence": 1}, "snapshot_signature": "AA"}
PLACE = {"salt": "AA"}


def test_what_our_own_node_committed_to_stands_beside_the_evidence() -> None:
    told = {**SIGNED, "snapshot_place": PLACE, "newest": 4}
    assert committed({"committed": told}) == told


def test_what_a_partner_committed_to_is_in_its_disclosure() -> None:
    received = {"disclosure": {**SIGNED, "schema": []}, "snapshot_place": PLACE}
    assert committed(received) == {**SIGNED, "snapshot_place": PLACE}


def test_a_snapshot_without_its_place_is_not_told_of() -> None:
    assert committed({"disclosure": SIGNED}) is None
    assert committed({"committed": None}) is None


def test_only_a_newer_snapshot_makes_one_older() -> None:
    told = {**SIGNED, "snapshot_place": PLACE}
    assert numbers({"committed": {**told, "newest": 4}}) == (2, 5)
    for newest in (1, 0, None, "4"):
        assert numbers({"committed": {**told, "newest": newest}}) is None
    assert numbers({}) is None
