"""What jobs keep is sealed under a nonce of its own: each part, each job, each time."""

from pathlib import Path

from crypto.sealed import NONCE
from tests.support.jobs import PARTS, opened, signed


async def test_no_two_parts_are_sealed_with_one_nonce(tmp_path: Path) -> None:
    nonces: list[bytes] = []
    async with opened(tmp_path, None) as site:
        for purpose in ("one", "other"):
            jobs = site.jobs()
            job_id = await jobs.start(signed(purpose=purpose), {})
            await jobs.wait(job_id)
            for stage in ("job/inputs", "key", "blind"):
                kept = await site.kept(job_id, stage)
                nonces += [sealed[:NONCE] for sealed in kept.values()]
    assert len(nonces) == 2 * (PARTS + 2)
    assert len(set(nonces)) == len(nonces)
