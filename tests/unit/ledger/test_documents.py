"""The protocol pages say what the code does: tables and examples are read and tried."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from crypto.encoding import canonical, unb64u
from crypto.errors import Malformed
from crypto.typed import Field
from ledger import receipts
from ledger.conclusion import Verdict
from ledger.conditions import OPERATORS
from ledger.plans import Kind, parse_signed_plan, verify_plan
from ledger.receipts import Countersignature, parse_signed_receipt
from ledger.records import FieldType
from ledger.registry import History
from ledger.snapshots import (
    customer_leaf,
    parse_signed_snapshot,
    record_header,
    verify_snapshot,
)
from ledger.verifier import exit_code
from ledger.verify import verify_evidence
from tests.unit.ledger import asking, bundled, planned, samples, world

PAGES = Path(__file__).parents[3] / "docs" / "protocols"


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the first table below a heading."""
    below = text.split(f"## {heading}\n", 1)[1].split("\n## ", maxsplit=1)[0]
    rows = [
        line.strip("| ").split(" | ") for line in below.splitlines() if line[:1] == "|"
    ]
    return rows[2:]


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_lists_every_member_of_a_receipt() -> None:
    listed = [
        name for row in table(page("receipts"), "The receipt") for name in code(row[0])
    ]
    assert sorted(listed) == sorted(samples.receipt().to_json())


def test_the_example_receipt_is_signed_and_countersigned() -> None:
    example = json.loads(page("receipts").split("```json")[1].split("```")[0])
    signed = parse_signed_receipt(example)
    assert signed.receipt.receipt_id == example["receipt_id"]
    receipts.verify_receipt(signed, samples.PROVIDER_RECORD)
    back = Countersignature(
        key_id=samples.CONSUMER_KEY.key_id(samples.CONSUMER),
        signature=unb64u(example["countersignature"]),
    )
    receipts.verify_countersignature(signed, back, samples.CONSUMER_RECORD)


def test_the_page_lists_every_member_of_a_plan_and_its_parts() -> None:
    listed = [name for row in table(page("plans"), "The plan") for name in code(row[0])]
    assert sorted(listed) == sorted(planned.plan().to_json())
    whole = planned.second_round().to_json()
    parts = (whole["parties"][0], whole["groups"][0], whole["measure"])
    for part in (*parts, whole["replaces"]):
        assert all(f'"{name}"' in page("plans") for name in part)


def test_the_page_lists_every_kind_with_what_it_needs() -> None:
    rows = table(page("plans"), "Kinds")
    assert [code(row[0])[0] for row in rows] == [
        *("heat-map", "heat-map", "heat-map", "intersection"),
        *("joint-sum", "ring-count", "federated-sum"),
    ]
    assert {code(row[0])[0] for row in rows} == set(Kind)


def test_the_example_plan_is_signed_and_has_its_hashes() -> None:
    example = json.loads(page("plans").split("```json")[1].split("```")[0])
    told = {name: example[name] for name in ("plan", "signature")}
    signed = parse_signed_plan(told)
    verify_plan(signed, samples.CONSUMER_RECORD)
    assert signed.plan.plan_hash == example["plan_hash"]
    assert signed.plan.query_hash == example["query_hash"]


def test_the_page_lists_every_member_and_every_step_of_evidence() -> None:
    told, chain = world.story()
    history = History(
        chain_id=1,
        contract="0x" + "dd" * 20,
        did=samples.PROVIDER,
        block=1,
        seen=1,
        changes=(),
    )
    token = asking.token(told.signed.receipt)
    evidence = replace(told, request=token, histories=(history,))
    listed = [
        name for row in table(page("evidence"), "The file") for name in code(row[0])
    ]
    step, _ = planned.story()
    assert sorted(listed) == sorted({*evidence.to_json(), *step.to_json()})
    steps = [code(row[1])[0] for row in table(page("evidence"), "Verification")]
    assert steps == [
        *(s.name for s in verify_evidence(evidence, samples.PINS, chain, quorum=1)),
        *(s.name for s in verify_evidence(step, samples.PINS)[8:]),
    ]
    for member in evidence.to_json()["anchor"]:
        assert f"`{member}`" in page("evidence")


def test_the_page_lists_every_verdict_with_its_exit_code() -> None:
    rows = table(page("evidence"), "The verdict")
    assert [code(row[0])[0] for row in rows] == [each.value for each in Verdict]
    for row in rows:
        verdict, codes = Verdict(code(row[0])[0]), re.findall(r"\d", row[2])
        found = [exit_code(verdict, offline=offline) for offline in (False, True)]
        assert [str(int(each)) for each in dict.fromkeys(found)] == codes


def test_the_page_lists_every_member_of_a_manifest() -> None:
    calls = bundled.story().entries
    first = bundled.manifest(calls, calls[-1].signed).to_json()
    for member in (*first, *first["manifest"]):
        assert f"`{member}`" in page("evidence") or f'"{member}"' in page("evidence")


@pytest.mark.parametrize(
    "row", table(page("snapshots"), "Field values"), ids=lambda row: row[0]
)
def test_example_values_can_be_signed_and_refused_ones_cannot(
    row: list[str],
) -> None:
    kind = FieldType(code(row[0])[0])
    field = Field(name="x", kind=kind, scale=2 if kind is FieldType.MONEY else 0)
    for spelled in code(row[2]):
        assert canonical(json.loads(spelled)) == spelled.encode()
        assert field.scalar(json.loads(spelled), 2)
    for spelled in code(row[3]):
        with pytest.raises(Malformed):
            field.scalar(json.loads(spelled), 2)


def test_every_type_of_field_is_on_the_page() -> None:
    listed = [code(row[0])[0] for row in table(page("snapshots"), "Field values")]
    assert listed == [kind.value for kind in FieldType]


def test_the_page_lists_every_member_of_a_snapshot() -> None:
    listed = [
        name
        for row in table(page("snapshots"), "The snapshot")
        for name in code(row[0])
    ]
    assert sorted(listed) == sorted(world.snapshot().to_json())


def test_the_example_snapshot_is_signed_and_its_leaf_is_right() -> None:
    example = json.loads(page("snapshots").split("```json")[1].split("```")[0])
    signed = parse_signed_snapshot(example)
    verify_snapshot(signed, samples.PROVIDER_RECORD)
    assert signed.snapshot.snapshot_id == example["snapshot_id"]
    records = [
        (
            unb64u(each["commitment"]),
            record_header(signed.snapshot, each["version"]).to_bytes(),
        )
        for each in example["records"]
    ]
    leaf = customer_leaf(unb64u(example["customer"]), records)
    assert leaf.hex() == example["leaf"]


def test_the_page_lists_every_operator_of_a_condition() -> None:
    rows = table(page("receipts"), "Conditions")
    assert sorted(name for row in rows for name in code(row[0])) == list(OPERATORS)


def test_the_page_lists_every_member_of_an_answer() -> None:
    disclosure = world.story()[0].disclosure
    assert disclosure
    written = disclosure.to_json()
    shared, *_ = written["disclosures"]
    told = next(field for field in written["schema"] if "name" in field)
    for member in (*written, *shared, *shared["records"][0], *told, "digest"):
        assert member in page("snapshots")


def test_every_link_between_the_pages_leads_somewhere() -> None:
    names = ("snapshots", "receipts", "plans", "evidence", "log")
    links = [
        (name, target)
        for name in names
        for target in re.findall(r"\]\(([^)]+)\)", page(name))
        if not target.startswith("..")
    ]
    assert links
    for name, target in links:
        file, _, anchor = target.partition("#")
        text = page(file.removesuffix(".md") or name)
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        slugs = {
            re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
            for heading in headings
        }
        assert not anchor or anchor in slugs, (name, target)
