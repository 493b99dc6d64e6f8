"""Both catalogues say the same things, in the agreed words, and nothing is missing."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from dashboard import i18n
from dashboard.i18n import catalogue
from ledger.conditions import OPERATORS
from node.domain.denials import DENIALS
from node.services.aggregates import (
    federate_rules,
    heat_map_owner,
    intersect,
    joint_rules,
    ring,
)

DASHBOARD = Path(i18n.__file__).parent
HAN = re.compile(r"[\u2e80-\u2fdf\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
HOLES = re.compile(r"\{(\w+)\}")
GLOSSARY = (
    ("grants?", "授权"),
    ("allowed", "放行"),
    ("denied|denials?", "拒绝"),
    ("off purpose", "用途不符"),
    ("HE aggregate", "同态聚合"),
    ("ZK proof", "零知识证明"),
    ("receipts?", "回执"),
    ("anchor(ed)?", "锚定"),
    ("dormant grants?", "沉睡授权"),
    ("partners?", "伙伴"),
    ("purposes?", "用途"),
    ("node", "节点"),
    ("revoked", "撤销"),
)


def shared_keys() -> list[str]:
    return [key for key in catalogue("en") if not key.endswith(".one")]


@cache
def sources() -> str:
    files = [*DASHBOARD.rglob("templates/**/*.html"), *DASHBOARD.glob("web/src/*.js")]
    files += [*DASHBOARD.glob("*.py"), *DASHBOARD.glob("pages/*.py")]
    return "\n".join(path.read_text("utf-8") for path in files)


def test_both_languages_have_the_same_keys() -> None:
    assert set(shared_keys()) == set(catalogue("zh"))


def test_every_denial_code_of_the_node_has_words() -> None:
    said = {key[5:] for key in shared_keys() if key.startswith("code.")}
    assert said == set(DENIALS)


def test_every_step_of_a_plan_has_a_word() -> None:
    said = {key[5:] for key in shared_keys() if key.startswith("step.")}
    heat_maps = {heat_map_owner.TABLE, heat_map_owner.ROWS, heat_map_owner.APPLY}
    matching = {intersect.COMMIT, intersect.EXCHANGE, joint_rules.FINISH}
    federated = {federate_rules.ACCEPT, federate_rules.CONTRIBUTE}
    opening = {heat_map_owner.OPEN, ring.LIST, ring.PASS}
    assert said == heat_maps | matching | federated | opening


def test_every_operator_has_a_sentence_and_no_other() -> None:
    keys = {key.split(".")[1] for key in shared_keys() if key.startswith("where.")}
    assert keys - {"and", "text", "true", "false", "outcome"} == set(OPERATORS)


def test_no_key_is_written_twice() -> None:
    for language in i18n.LANGUAGES:
        pairs: list[tuple[str, str]] = []
        text = (DASHBOARD / "locales" / f"{language}.json").read_text("utf-8")
        json.loads(text, object_pairs_hook=pairs.extend)
        assert len(pairs) == len(dict(pairs))


@pytest.mark.parametrize("key", shared_keys())
def test_a_sentence_has_the_same_holes_in_both_languages(key: str) -> None:
    holes = set(HOLES.findall(catalogue("en")[key]))
    assert holes == set(HOLES.findall(catalogue("zh")[key]))


def test_the_english_catalogue_holds_no_han() -> None:
    assert [key for key, text in catalogue("en").items() if HAN.search(text)] == []


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_no_sentence_holds_markup_or_breaks_an_attribute(language: str) -> None:
    marked = [
        key for key, text in catalogue(language).items() if set(text) & set('<>&"')
    ]
    assert marked == []


@pytest.mark.parametrize(("english", "chinese"), GLOSSARY)
def test_the_glossary_is_kept(english: str, chinese: str) -> None:
    said = re.compile(rf"\b({english})\b", re.IGNORECASE)
    wrong = [
        key
        for key in shared_keys()
        if said.search(HOLES.sub("", catalogue("en")[key]))
        and chinese not in catalogue("zh")[key]
    ]
    assert wrong == []


def test_chinese_is_set_as_chinese() -> None:
    for key, text in catalogue("zh").items():
        bare = HOLES.sub("", text)
        assert "您" not in bare, key
        assert not re.search(r"[\u4e00-\u9fff][,;:?!]", bare), key
        assert not re.search(
            r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", bare
        ), key


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_nothing_is_promised_that_cannot_be_checked(language: str) -> None:
    boast = re.compile(
        r"\bsecure\b|tamper-proof|100 ?%|\bplease\b|!|防篡改|绝对安全", re.IGNORECASE
    )
    assert [
        key for key, text in catalogue(language).items() if boast.search(text)
    ] == []


def test_every_key_that_is_asked_for_exists() -> None:
    asked = set(re.findall(r'\b(?:t|say)\("([\w.]+)"[,)]', sources()))
    asked |= set(re.findall(r'"(check\.[\w.]+)"', sources()))
    exist = {key.removesuffix(".one") for key in catalogue("en")}
    prefixes = {key.rsplit(".", 1)[0] + "." for key in exist}
    assert {key for key in asked if key not in exist and key not in prefixes} == set()


def test_every_key_that_exists_can_be_asked_for() -> None:
    text = sources()
    starts = set(re.findall(r'[("]([a-z_]+\.(?:[a-z_]+\.)*)(?:"\s*~|\{|\$\{|")', text))
    starts |= set(re.findall(r"`([a-z_]+\.(?:[a-z_]+\.)*)\$\{", text))
    unused = [
        key
        for key in shared_keys()
        if f'"{key}"' not in text and not any(key.startswith(it) for it in starts)
    ]
    assert unused == []
