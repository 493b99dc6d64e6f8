"""Who may use the management and audit API: nobody without a token."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from node import bootstrap, offline
from node.api.app import create_app
from node.cli.app import app
from node.config import load
from node.errors import BadRequest
from tests.support.servers import free_port


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
    api = create_app(None, {nothing: "management"})  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}):
            reply = await client.get("/management/datasets", headers=headers)
            assert reply.status_code == 401


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (
            lambda file: (file.parent / "management.token").unlink(),
            "token.unreadable",
            "serve --create` makes what is missing",
        ),
        (
            lambda file: (file.parent / "management.token").write_bytes(b"\xff"),
            "token.unreadable",
            "cannot be read",
        ),
        (
            lambda file: file.write_text(
                file.read_text().replace("role: management", "role: audit")
            ),
            "operator.none",
            "no operator of the role management",
        ),
        (lambda _: None, "node.unreachable", "starts it"),
    ],
)
def test_a_command_that_cannot_reach_its_node_says_what_to_do(
    tmp_path: Path, spoil: Callable[[Path], object], code: str, told: str
) -> None:
    file = _node(tmp_path)
    text = file.read_text().replace("127.0.0.1:8101", f"127.0.0.1:{free_port()}")
    file.write_text(text)
    spoil(file)

    result = CliRunner().invoke(app, ["agreement", "list", "-s", str(file)])

    assert result.exit_code == 1
    assert code in result.stderr
    assert told in " ".join(result.stderr.split())
