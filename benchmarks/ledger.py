"""The ledger: durable receipts a second, and what it is like with a million of them.

    python -m benchmarks.ledger [--receipts 1000000]

First, receipts made durable one at a time and many at once (`benchmarks.durable`).
Then a store is filled (`benchmarks.filled`), and proofs are computed from it and
verified; a node, a real process, is started on it, anchors it on an embedded chain,
and is asked for evidence, which is verified; what anchoring costs in gas. Last, the
whole log is derived again (`fieldpact fsck`), which takes longest.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import httpx
import psutil
import sqlalchemy as sa

from benchmarks import durable, filled
from crypto import merkle
from crypto.encoding import unb64u
from examples.federation import Federation, Node, federation, free_ports
from ledger import log
from ledger.evidence import parse_evidence
from ledger.verify import verify_evidence
from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore, engine_for
from node.ports import UnitOfWork
from node.services.keep_log import over_nodes

T = TypeVar("T")
R = TypeVar("R")
RECEIPTS: Final = 1_000_000
ASKED: Final = 200
_EPOCH_S: Final = 300
_PLAIN_CALLDATA: Final = 21_000 + 32 * 16
"""Gas of the cheapest transaction that carries a hash: EIP-2028."""


@dataclass
class Run:
    """A provider with a full store, a consumer, and a chain."""

    made: Federation
    provider: Node
    consumer: Node
    receipts: int

    @property
    def store(self) -> Path:
        return self.provider.folder / "node.sqlite"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.store}"

    def parties(self) -> filled.Parties:
        """Return both companies, with the keys that they sign with."""
        return filled.Parties(
            provider=self.provider.desk.did,
            consumer=self.consumer.desk.did,
            provider_key=_seed(self.provider),
            consumer_key=_seed(self.consumer),
        )

    # -- the tree ---------------------------------------------------------------------

    def proofs(self) -> Iterator[str]:
        """Compute proofs from the store, and verify them."""
        with closing(SqlStore(engine_for(self.url))) as store:
            yield from asyncio.run(self._proofs(store))

    async def _proofs(self, store: SqlStore) -> list[str]:
        size = await store.read(lambda view: view.log.size())
        # Far apart, the same in every run, and odd paths among them.
        indexes = [(number * 7_919_117 + 1) % size for number in range(ASKED)]
        inclusion, consistency = [], []
        for index in indexes:
            inclusion.append(await _inclusion(store, index, size))
            consistency.append(await _consistency(store, index + 1, size))
        return [
            *_told(f"inclusion in {size:,} entries", inclusion),
            *_told(f"consistency with {size:,} entries", consistency),
        ]

    # -- a node on it -----------------------------------------------------------------

    def node(self) -> Iterator[str]:
        """Start the node, wait for its anchor, ask for evidence, and verify it."""
        begun = time.perf_counter()
        self.made.start("provider")
        self.made.await_ready("provider")
        took = time.perf_counter() - begun
        size = self.store.stat().st_size
        yield f"the store takes {size / self.receipts:.0f} bytes for each receipt"
        yield f"a node on it is ready after {took:.1f} s, {self._memory()}"
        while (self.summary()["anchor"] or {}).get("state") != "final":
            time.sleep(0.2)
        yield from self._evidence()
        yield from self._listed()
        yield f"afterwards: {self._memory()}"

    def summary(self) -> Any:
        window = {"from": "2026-11-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}
        return self.provider.desk.get(f"/audit/summary?{httpx.QueryParams(window)}")

    def _memory(self) -> str:
        settings = str(self.provider.settings)
        children = psutil.Process().children(recursive=True)
        process = next(each for each in children if settings in each.cmdline())
        return f"{process.memory_info().rss / 2**20:.0f} MiB of memory"

    def _evidence(self) -> Iterator[str]:
        names = self._names()
        asked, files = _each(
            lambda name: self.provider.desk.get(f"/audit/receipts/{name}"), names
        )
        yield f"evidence given by the node: {1 / asked:.0f} a second"
        for file in files:  # which the API shows beside the evidence
            file.pop("canonical", None)
            file.pop("committed", None)
        raw = [json.dumps(file).encode() for file in files]
        with_chain, _ = _each(lambda file: self._verify(file, chain=True), raw)
        offline, _ = _each(lambda file: self._verify(file, chain=False), raw)
        yield f"evidence verified, the chain asked over HTTP: {1 / with_chain:.0f}/s"
        yield f"evidence verified offline: {1 / offline:.0f} a second"

    def _verify(self, file: bytes, *, chain: bool) -> None:
        reader = self.made.chain if chain else None
        evidence = parse_evidence(file)
        for step in verify_evidence(evidence, self.made.pins, reader):
            if step.state == "failed":
                raise RuntimeError(step)

    def _names(self) -> list[str]:
        engine = engine_for(self.url)
        c = t.receipts.c
        wanted = [1 + n * 7_919_117 % self.receipts for n in range(ASKED)]
        with engine.connect() as connection:
            found = list(
                connection.scalars(
                    sa.select(c.receipt_id).where(c.sequence.in_(wanted))
                )
            )
        engine.dispose()
        return found

    def _listed(self) -> Iterator[str]:
        for what, path in (
            ("key figures of all receipts", self.summary),
            ("newest page of the call log", self._newest),
        ):
            took, _ = _each(lambda ask: ask(), [path] * 5)
            yield f"{what}: {took * 1000:.0f} ms"

    def _newest(self) -> Any:
        return self.provider.desk.get("/audit/calls?limit=50")

    def fsck(self) -> Iterator[str]:
        """Derive the whole log from the store once more."""
        command = [sys.executable, "-m", "node", "fsck"]
        command += ["--settings", str(self.provider.settings)]
        begun = time.perf_counter()
        found = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        took = time.perf_counter() - begun
        said = (found.stdout.strip() or found.stderr.strip()).splitlines()[-1]
        rate = self.receipts / took
        yield f"fsck: {took:.0f} s, {rate:.0f} receipts a second; {said}"

    # -- gas --------------------------------------------------------------------------

    def gas(self) -> Iterator[str]:
        """Tell what this run's anchors took, and what others would take."""
        deploy, (first, *later) = self._used()
        yield f"gas, measured: deploy {deploy:,}, first anchor {first:,}"
        anchor = median(later) if later else first
        yield f"gas of a later anchor: {anchor:,.0f} (median of {len(later)})"
        for what, days in (("a day", 1), ("a week", 7), ("30 days", 30)):
            epochs = days * 86_400 // _EPOCH_S
            yield (
                f"a million receipts in {what}: {epochs:,} anchors, "
                f"{epochs * anchor / 1e6:,.1f} million gas"
            )
        alone = anchor * 1e6
        yield f"one anchor for each of a million receipts: {alone / 1e6:,.0f} million"
        yield (
            "one bare transaction with a hash for each: "
            f"{_PLAIN_CALLDATA * 1e6 / 1e6:,.0f} million"
        )

    def _used(self) -> tuple[int, list[int]]:
        """Return gas of the deployment and of each anchor, as the chain tells it."""
        contract, deploy = self.made.contract.lower(), 0
        anchors: list[int] = []
        for number in range(1, int(self._rpc("eth_blockNumber"), 16) + 1):
            block = self._rpc("eth_getBlockByNumber", hex(number), False)
            for name in block["transactions"]:
                receipt = self._rpc("eth_getTransactionReceipt", name)
                gas = int(receipt["gasUsed"], 16)
                if (receipt["contractAddress"] or "").lower() == contract:
                    deploy = gas
                elif (receipt["to"] or "").lower() == contract:
                    anchors.append(gas)
        return deploy, anchors

    def _rpc(self, method: str, *parameters: Any) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        return httpx.post(self.made.chain_url, json=asked, trust_env=False).json()[
            "result"
        ]


def _seed(node: Node) -> bytes:
    return unb64u((node.desk.settings.keys / "ed25519.key").read_text().strip())


async def _inclusion(
    store: SqlStore, index: int, size: int
) -> tuple[int, float, float]:
    """Compute and verify one proof: rows read, milliseconds for either."""

    def compute(read: merkle.Reader) -> list[bytes]:
        return merkle.inclusion_proof(index, size, read)

    def look(view: UnitOfWork) -> tuple[bytes, list[bytes], bytes]:
        [leaf] = view.log.nodes([(0, index)]).values()
        checkpoint = view.log.checkpoint()
        if checkpoint is None:
            raise RuntimeError("nothing was published")
        return leaf, over_nodes(view, compute), checkpoint.root

    begun = time.perf_counter()
    leaf, proof, root = await store.read(look)
    computed = time.perf_counter()
    merkle.verify_inclusion(leaf=leaf, index=index, size=size, proof=proof, root=root)
    verified = time.perf_counter()
    rows = len(log.reads(compute))
    return rows, (computed - begun) * 1000, (verified - computed) * 1000


async def _consistency(
    store: SqlStore, size1: int, size2: int
) -> tuple[int, float, float]:
    """Compute and verify one proof: rows read, milliseconds for either."""

    def compute(read: merkle.Reader) -> list[bytes]:
        return merkle.consistency_proof(size1, size2, read)

    def roots(read: merkle.Reader) -> list[bytes]:
        return [merkle.root_at(size, read) for size in (size1, size2)]

    root1, root2 = await store.read(lambda view: over_nodes(view, roots))
    begun = time.perf_counter()
    proof = await store.read(lambda view: over_nodes(view, compute))
    computed = time.perf_counter()
    merkle.verify_consistency(
        size1=size1, size2=size2, proof=proof, root1=root1, root2=root2
    )
    verified = time.perf_counter()
    rows = len(log.reads(compute))
    return rows, (computed - begun) * 1000, (verified - computed) * 1000


def _told(what: str, proofs: Sequence[tuple[int, float, float]]) -> Iterator[str]:
    rows, computed, verified = zip(*proofs, strict=True)
    yield (
        f"{what}: {median(rows):.0f} rows read (most {max(rows)}), computed in "
        f"{median(computed):.2f} ms, verified in {median(verified) * 1000:.0f} us"
    )


def _each(act: Callable[[T], R], over: Sequence[T]) -> tuple[float, list[R]]:
    """Do something for each; return the median of seconds, and what came out."""
    took, found = [], []
    for one in over:
        begun = time.perf_counter()
        found.append(act(one))
        took.append(time.perf_counter() - begun)
    return median(took), found


@contextmanager
def prepared(folder: Path, receipts: int) -> Iterator[Run]:
    """Make two companies and a chain; neither node runs yet."""
    with federation(folder) as made:
        chain, *rest = free_ports(0, 0, 0, 0, 0)
        made.start_chain(chain)
        ports = iter(rest)
        provider, consumer = (
            made.add(
                key,
                {"en": key, "zh": key},
                address=next(ports),
                port=next(ports),
                environment={},
            )
            for key in ("provider", "consumer")
        )
        made.pin()
        yield Run(made, provider, consumer, receipts)


def lines(receipts: int = RECEIPTS) -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    yield from durable.lines()
    with tempfile.TemporaryDirectory() as name, prepared(Path(name), receipts) as run:
        yield from filled.fill(run.url, run.parties(), receipts)
        yield from filled.integrate(run.url, run.parties())
        yield from run.proofs()
        yield from run.node()
        yield from run.gas()
        yield from run.fsck()


def main() -> int:
    """Measure as asked, and tell."""
    parser = argparse.ArgumentParser(prog="benchmarks.ledger")
    parser.add_argument("--receipts", type=int, default=RECEIPTS)
    for line in lines(parser.parse_args().receipts):
        print(line, flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
