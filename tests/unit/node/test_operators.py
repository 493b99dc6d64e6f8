"""Who may use the management and audit API: nobody without a token."""

from pathlib import Path

import httpx
import pytest

from node import bootstrap, offline
from node.api.app import create_app
from node.config import load
from node.errors import BadRequest


def _node(folder: Path) -> Path:
    name = {"en": "Maker", "zh": "车厂"}
    return offline.new_node(
        folder, name=name, url="http://127.0.0.1:8101", listen="127.0.0.1:8101"
    )


@pytest.mark.parametrize("token", ["", "\n", "secret\n", "x" * 31])
def test_a_node_does_not_start_with_a_token_that_can_be_guessed(
    tmp_path: Path, token: str
) -> None:
    settings = load(_node(tmp_path))
    (tmp_path / "management.token").write_text(token)
    with pytest.raises(BadRequest, match=r"token\.short.*management\.token"):
        bootstrap.application(settings)


async def test_a_call_without_a_token_is_nobodys_even_if_nothing_is_a_token() -> None:
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    app = create_app(None, {nothing: "management"})  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}):
            reply = await client.get("/management/datasets", headers=headers)
            assert reply.status_code == 401
