"""A wrong setting is refused with its name and the reason."""

import json
from pathlib import Path

import pytest

from dashboard.errors import SettingsError
from dashboard.registry import read_registry
from dashboard.settings import believed, read_settings, read_token
from tests.support.audit_world import company

GOOD = {
    "participant": '"did:web:127.0.0.1%3A8101"',
    "registry": '"registry.json"',
    "access_key_sha256": f'"{"0" * 64}"',
    "node.url": '"http://127.0.0.1:8101/"',
    "node.token_file": '"audit.token"',
    "listen.port": "8201",
}


def written(directory: Path, **changes: str) -> Path:
    path = directory / "dashboard.toml"
    entries = GOOD | {name.replace("__", "."): value for name, value in changes.items()}
    path.write_text(
        "\n".join(f"{name} = {value}" for name, value in entries.items() if value)
    )
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path))
    assert settings.registry == tmp_path / "registry.json"
    assert settings.node.token_file == tmp_path / "audit.token"
    assert settings.node.url == "http://127.0.0.1:8101"
    assert settings.chain is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"participant": '"hengchuan"'}, "participant"),
        ({"access_key_sha256": '"secret"'}, "access_key_sha256"),
        ({"access_key_sha256": ""}, "access_key_sha256"),
        ({"node__url": '"ftp://node"'}, "node.url"),
        ({"node__timeout_s": "0"}, "node.timeout_s"),
        ({"listen__port": "70000"}, "listen.port"),
        ({"listen__public_url": '"http://audit.example"'}, "listen"),
        ({"listen__host": '"0.0.0.0"'}, "listen"),
        ({"time_zone": '"Mars/Olympus"'}, "time_zone"),
        ({"language": '"fr"'}, "language"),
        ({"chain__rpc_url": '"http://127.0.0.1:8545"'}, "chain.contract"),
        ({"colour": '"green"'}, "colour"),
    ],
)
def test_a_wrong_entry_is_named(
    tmp_path: Path, changes: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(written(tmp_path, **changes))


def test_a_wrong_entry_is_never_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(written(tmp_path, access_key_sha256='"my plain key"'))
    assert "my plain key" not in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml"):
        read_settings(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("= 3")
    with pytest.raises(SettingsError, match="not TOML"):
        read_settings(tmp_path / "broken.toml")


def test_public_addresses_are_fine_with_tls(tmp_path: Path) -> None:
    path = written(
        tmp_path, listen__host='"0.0.0.0"', listen__public_url='"https://audit.example"'
    )
    assert read_settings(path).listen.url == "https://audit.example"


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.token").write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        read_token(tmp_path / "audit.token")


def test_the_registry_is_read_with_its_digest(tmp_path: Path) -> None:
    record = company(1).participant
    path = tmp_path / "registry.json"
    path.write_text(json.dumps([record.to_json()]))
    registry = read_registry(path)
    assert registry.find(record.did) == record
    assert registry.source == "registry.json"
    assert len(registry.digest) == 64


@pytest.mark.parametrize("text", ["{}", "[{}]", "no json", '[{"did": 3}]'])
def test_a_registry_of_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "registry.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"registry\.json"):
        read_registry(path)


def test_a_file_without_certificates_is_no_file_of_authorities(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    file.write_text("nothing of the kind")
    with pytest.raises(SettingsError, match="authorities"):
        believed(file)


def test_without_authorities_the_public_ones_are_believed() -> None:
    assert believed(None) is True
