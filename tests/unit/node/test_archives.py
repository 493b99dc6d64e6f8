"""Taking receipts out of a store into a file, and putting them back."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from node import keeping
from node.adapters import archive
from node.adapters.sql import tables as t
from node.config import Settings, load
from node.errors import BadRequest, Conflict
from tests.support.node import World, open_world


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with open_world(
        tmp_path,
        suites=getattr(request, "param", None),
        valid_from="2020-01-01T00:00:00Z",
        valid_to="2100-01-01T00:00:00Z",
    ) as world:
        for _ in range(3):
            await world.ask()
        await world.query(fields=["contact_phone"])
        await world.maker.services.keep_log.integrate()
        world.clock.advance(days=184)
        await world.ask()
        await world.maker.services.keep_log.integrate()
        yield world


def settings_of(world: World) -> Settings:
    return load(world.maker.folder / "node.yaml")


def written(world: World, place: Path) -> tuple[Path, archive.Manifest]:
    file = place / "old.jsonl.gz"
    before = world.clock.now()
    return file, keeping.write_archive(settings_of(world), file, before)


def everything(world: World) -> list[Any]:
    tables = (t.receipts, t.receipt_fields, t.receipt_denials)
    return [sorted(map(tuple, world.maker.rows(sa.select(table)))) for table in tables]


async def remove(world: World, file: Path, digest: str) -> int:
    erased = 0
    for lines in keeping.archived(settings_of(world), file):
        ids = [
            row.receipt_id
            for line in lines
            for row in world.maker.rows(
                sa.select(t.receipts.c.receipt_id).where(
                    t.receipts.c.log_index == line["index"]
                )
            )
        ]
        body = {"receipts": ids, "archive": digest}
        told = await world.maker.manage("/management/receipts/archived", body)
        erased += told["erased"]
    return erased


async def restore(world: World, file: Path, expect: int = 0) -> Any:
    [lines] = keeping.archived(settings_of(world), file)
    body = {"receipts": lines}
    return await world.maker.manage("/management/receipts/restore", body, expect=expect)


@pytest.mark.parametrize("world", [None, {"maker": "sm2"}], indirect=True)
async def test_what_was_archived_and_erased_comes_back_as_it_was(
    world: World, tmp_path: Path
) -> None:
    before = everything(world)
    file, manifest = written(world, tmp_path)
    assert (manifest.count, manifest.first, manifest.last) == (4, 0, 3)
    assert file.stat().st_mode & 0o077 == 0
    assert everything(world) == before
    assert await remove(world, file, manifest.sha256) == 4
    c = t.receipts.c
    erased = world.maker.rows(sa.select(c.erased_why).where(c.core.is_(None)))
    assert [row[0] for row in erased] == [f"archived: {manifest.sha256}"] * 4
    assert keeping.verify_archive(settings_of(world), file) == manifest
    assert await restore(world, file) == {"restored": 4}
    assert everything(world) == before
    assert await restore(world, file) == {"restored": 0}
    await asyncio.to_thread(sound, world)


def sound(world: World) -> None:
    with keeping.checking(
        settings_of(world), ask_chain=False, progress=lambda *_: None
    ) as (_, found):
        assert list(found) == []


async def test_removing_goes_on_where_it_was_stopped(
    world: World, tmp_path: Path
) -> None:
    file, manifest = written(world, tmp_path)
    [first, *_] = world.maker.receipts()
    body = {"receipts": [first.receipt.receipt_id], "archive": manifest.sha256}
    await world.maker.manage("/management/receipts/archived", body)
    assert await remove(world, file, manifest.sha256) == 3
    assert await remove(world, file, manifest.sha256) == 0


async def test_what_is_too_young_stays_though_it_is_archived(
    world: World, tmp_path: Path
) -> None:
    world.clock.advance(days=1)
    _, manifest = written(world, tmp_path)
    assert manifest.count == 5
    ids = [each.receipt.receipt_id for each in world.maker.receipts()]
    body = {"receipts": ids, "archive": manifest.sha256}
    answer = await world.maker.manage("/management/receipts/archived", body, expect=409)
    assert answer["code"] == "receipt.retained"
    assert len(world.maker.receipts()) == 5


async def test_an_archive_that_is_there_is_never_written_over(
    world: World, tmp_path: Path
) -> None:
    file, _ = written(world, tmp_path)
    octets = file.read_bytes()
    with pytest.raises(Conflict, match=r"archive\.exists"):
        written(world, tmp_path)
    assert file.read_bytes() == octets


async def test_an_archive_that_was_being_written_has_no_name_yet(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object) -> Iterator[Any]:
        raise KeyboardInterrupt

    before = everything(world)
    with monkeypatch.context() as patched:
        patched.setattr(archive, "verified", torn)
        with pytest.raises(KeyboardInterrupt):
            written(world, tmp_path)
    assert not (tmp_path / "old.jsonl.gz").exists()
    assert everything(world) == before
    with pytest.raises(Conflict, match=r"archive\.unfinished"):
        written(world, tmp_path)
    (tmp_path / "old.jsonl.gz.part").unlink()
    written(world, tmp_path)


def _without_one(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], *lines[3:]]


def _twice(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def _other_salt(lines: list[bytes]) -> list[bytes]:
    line = json.loads(lines[1])
    line["salt"] = json.loads(lines[2])["salt"]
    return [lines[0], json.dumps(line).encode() + b"\n", *lines[2:]]


def _other_count(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"count":4', b'"count":5')]


def _cut(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def _longer(lines: list[bytes]) -> list[bytes]:
    return [*lines, b"{}\n"]


def _unsigned_receipt(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"customers":1', b'"customers":2'), *lines[2:]]


@pytest.mark.parametrize(
    "spoil",
    [
        *(_without_one, _twice, _other_salt, _other_count, _cut, _longer),
        _unsigned_receipt,
    ],
)
async def test_a_spoiled_archive_is_refused_before_anything_is_done_with_it(
    world: World, tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]]
) -> None:
    file, _ = written(world, tmp_path)
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    changed = b"".join(spoil(lines))
    assert changed != b"".join(lines)
    file.write_bytes(gzip.compress(changed))
    with pytest.raises(BadRequest, match=r"archive\.damaged"):
        keeping.verify_archive(settings_of(world), file)


async def test_a_flipped_bit_of_the_file_is_noticed(
    world: World, tmp_path: Path
) -> None:
    file, _ = written(world, tmp_path)
    octets = bytearray(file.read_bytes())
    for place in range(20, len(octets), max(1, len(octets) // 12)):
        octets[place] ^= 4
        file.write_bytes(octets)
        with pytest.raises(BadRequest, match=r"archive\.damaged"):
            keeping.verify_archive(settings_of(world), file)
        octets[place] ^= 4


async def test_the_archive_of_another_node_is_not_ours(
    world: World, tmp_path: Path
) -> None:
    file, _ = written(world, tmp_path)
    other = load(world.supplier.folder / "node.yaml")
    with pytest.raises(BadRequest, match=r"archive\.other"):
        keeping.verify_archive(other, file)


async def test_what_does_not_open_its_leaf_is_not_put_back(
    world: World, tmp_path: Path
) -> None:
    file, manifest = written(world, tmp_path)
    [lines] = keeping.archived(settings_of(world), file)
    await remove(world, file, manifest.sha256)
    before = everything(world)
    lines[1]["salt"], lines[2]["salt"] = lines[2]["salt"], lines[1]["salt"]
    answer = await world.maker.manage(
        "/management/receipts/restore", {"receipts": lines}, expect=409
    )
    assert answer["code"] == "archive.other"
    assert everything(world) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"index": 0},
        *({"index": each} for each in (-1, True, "0", None)),
        *({"salt": each} for each in ("", None, 7)),
        {"token": 7},
        {"countersignature": {}},
        {"countersignature": {"key_id": 1, "signature": "AA"}},
        {"more": 1},
    ],
)
async def test_what_is_no_archived_receipt_is_refused(
    world: World, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    file, _ = written(world, tmp_path)
    [lines] = keeping.archived(settings_of(world), file)
    line = lines[0] | wrong if wrong != {"index": 0} and wrong else wrong
    answer = await world.maker.manage(
        "/management/receipts/restore", {"receipts": [line]}, expect=400
    )
    assert answer["code"] == "archive.malformed"
