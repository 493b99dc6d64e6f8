"""What the demo's claims stand on: its data, its search, its tap, its processes."""

import base64
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from examples.demo import faults
from examples.demo.companies import COMPANIES, MAKER, OPERATOR, SUPPLIER
from examples.demo.leaks import CannotLook, told
from examples.supervisor import AlreadyRunning, Recorded, Supervisor, clear, end
from examples.tap import Tap
from node.domain.customer import normalise
from tests.support.servers import free_port

PHONE, NAME = "12244029439", "荷塘顺达物流有限公司"


# --- data


def test_the_data_are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for company in COMPANIES:
        for value in company.values():
            digest.update(value.encode())

    assert digest.hexdigest() == (
        "dd3d5aedb140346a8668ac503fc480856d08812505420edeeb19e967d2ec6823"
    )


def test_each_company_has_2000_customers_and_shares_some_with_each_other() -> None:
    shared = {
        (a.key, b.key): len(a.records.keys() & b.records.keys())
        for a, b in [(MAKER, SUPPLIER), (MAKER, OPERATOR), (SUPPLIER, OPERATOR)]
    }

    assert [len(company.records) for company in COMPANIES] == [2000] * 3
    assert list(shared.values()) == [800, 400, 800]


def test_credit_codes_are_valid_and_of_no_real_authority() -> None:
    for company in COMPANIES:
        for code in company.records:
            assert normalise("uscc", code) == code
            assert code[2:4] == "99"


def test_vehicles_are_nobodys_and_some_are_in_both_lists() -> None:
    owners = {each.vin for each in faults.faults()}
    packs = set(faults.packs())

    assert (len(owners), len(packs), len(owners & packs)) == (640, 480, 320)
    for vin in owners | packs:
        assert re.fullmatch("0FP[0-9A-HJ-NPR-Z]{14}", vin)
    assert {each.phone[:2] for each in faults.faults()} == {"12"}


def test_vehicles_are_searched_for_in_what_either_company_sent() -> None:
    searched = {company.key: set(company.values()) for company in COMPANIES}
    fault, pack = faults.faults()[0], faults.packs()[-1]

    cost = json.dumps(fault.yuan)
    assert {fault.vin, fault.phone, cost, fault.number} <= searched["maker"]
    assert pack in searched["supplier"]
    assert pack not in searched["maker"] | searched["operator"]


# --- the search


@pytest.mark.parametrize(
    "sent",
    [
        f'{{"phone": "{PHONE}"}}'.encode(),
        b"tel:" + base64.urlsafe_b64encode(f"call {PHONE} now".encode()).rstrip(b"="),
        PHONE.encode(),
    ],
)
def test_a_value_is_found_wherever_it_stands(sent: bytes) -> None:
    assert told([sent], [PHONE, NAME]) == {PHONE: 1}


def test_a_value_is_found_as_utf8_and_as_json_escapes_it() -> None:
    sent = [NAME.encode(), json.dumps([NAME, NAME]).encode()]

    assert told(sent, [PHONE, NAME]) == {NAME: 3}


def test_a_value_is_found_right_after_what_begins_like_it() -> None:
    assert told([PHONE[:6].encode() + PHONE.encode()], [PHONE]) == {PHONE: 1}
    assert told([b"\x00" + PHONE.encode() * 2], [PHONE, "]^-x\\\n2"]) == {PHONE: 2}


def test_a_value_is_not_found_where_it_is_not() -> None:
    assert told([b"", b"12244029430", NAME.encode()[1:]], [PHONE, NAME]) == {}


@pytest.mark.parametrize(
    "header", ["Content-Encoding: gzip", "transfer-encoding: chunked"]
)
def test_bytes_that_cannot_be_looked_into_are_refused(header: str) -> None:
    with pytest.raises(CannotLook):
        told([f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode()], [PHONE])


def test_a_value_too_short_to_be_found_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than 6"):
        told([b"..."], ['"Won"'])


# --- the tap


class Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"heard " + body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def echo() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_tap_passes_on_every_byte_and_keeps_it(echo: int) -> None:
    port = free_port()
    with Tap(port, echo) as tap, httpx.Client(timeout=120, trust_env=False) as client:
        for words in ("one", "two"):
            answer = client.post(
                f"http://127.0.0.1:{port}/{words}",
                content=words,
                headers={"Authorization": f"Bearer {words}"},
            )
            assert answer.text == f"heard {words}"

        first = tap.heard("/one")
        assert (first.authorization, first.body) == ("Bearer one", b"one")
        assert tap.heard("/two").body == b"two"
        assert b"heard one" in b"".join(tap.answered())


def test_a_tap_before_nothing_hangs_up() -> None:
    port, nobody = free_port(), free_port()
    with Tap(port, nobody), pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)


# --- processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
STUBBORN = [sys.executable, "-c", f"import signal, time; {DEAF}; time.sleep(600)"]


def record(folder: Path) -> list[Recorded]:
    entries = json.loads((folder / "processes.json").read_text())
    return [Recorded(**entry) for entry in entries]


def test_a_block_ends_its_processes_also_stubborn_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.supervisor.STOP_S", 0.3)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("sleeps", SLEEP)
        supervisor.start("stubborn", STUBBORN)
        while "deaf" not in supervisor.log("stubborn").read_text():
            time.sleep(0.02)
        entries = record(tmp_path)[1:]
        assert all(each.runs for each in entries)

    assert not any(each.runs for each in entries)
    assert not (tmp_path / "processes.json").exists()


def test_a_number_that_was_given_to_another_process_is_left_alone() -> None:
    mine = Recorded.of("me", os.getpid())
    other = Recorded("other", mine.pid, "earlier")

    assert mine.runs
    assert not other.runs
    end([other])


def test_a_folder_is_cleared_only_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("sleeps", SLEEP)
        with pytest.raises(AlreadyRunning):
            clear(tmp_path)
        first, left = record(tmp_path)
        gone = {"name": first.name, "pid": first.pid, "began": "earlier"}
        entry = {"name": left.name, "pid": left.pid, "began": left.began}
        (tmp_path / "processes.json").write_text(json.dumps([gone, entry]))

        clear(tmp_path)

        assert not left.runs


def test_a_process_that_ends_by_itself_is_told_with_its_last_words(
    tmp_path: Path,
) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("fails", [sys.executable, "-c", "raise SystemExit('no luck')"])
        with pytest.raises(Exception, match=r"exit code 1:\nno luck"):  # noqa: PT012
            while True:
                supervisor.check_all()
                time.sleep(0.02)


def test_a_signal_to_a_process_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    Recorded("gone", 2**22 - 1, "never").send(signal.SIGKILL)
