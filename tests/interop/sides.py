"""BBS twice: ours, and @digitalbazaar/bbs-signatures, behind the same four verbs.

The package is JavaScript and shares no code, no curve library and no author with
ours. It is installed by npm beside this file, in the version and with the hashes of
`package-lock.json`, and runs in a Node process of its own (`peer.mjs`), which is
asked and answers line by line.
"""

import fcntl
import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from crypto import bbs
from crypto.bbs import ARKWORKS, SHA_256, Backend, BbsKey, Suite
from crypto.errors import CryptoError
from dashboard.build import find_tools, install

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A record, who signed it, and what is shown of it to whom."""

    public: bytes
    header: bytes
    messages: tuple[bytes, ...]
    ph: bytes
    shown: tuple[int, ...]
    suite: Suite = SHA_256

    @property
    def named(self) -> list[bytes]:
        """The messages that are shown."""
        return [self.messages[index] for index in self.shown]


class Side(Protocol):
    """One implementation of the standard BBS interface."""

    def keys(self, material: bytes, suite: Suite) -> tuple[bytes, bytes]:
        """Derive a key: the secret, 32 bytes, and the public key, 96 bytes."""
        ...

    def sign(self, secret: bytes, case: Case) -> bytes:
        """Sign the whole record."""
        ...

    def takes_signature(self, signature: bytes, case: Case) -> bool:
        """Say whether it holds; an error is a no."""
        ...

    def prove(self, signature: bytes, case: Case) -> bytes:
        """Show some messages."""
        ...

    def takes_proof(self, proof: bytes, case: Case) -> bool:
        """Say whether it holds; an error is a no."""
        ...


class Ours:
    """`crypto.bbs`, on one of its curve libraries."""

    def __init__(self, backend: Backend = ARKWORKS) -> None:
        self._backend = backend

    def keys(self, material: bytes, suite: Suite) -> tuple[bytes, bytes]:
        dst = suite.ciphersuite_id + b"KEYGEN_DST_"
        derived = suite.hash_to_scalar(material + bytes(2), dst).to_bytes(32, "big")
        public = BbsKey.generate(material, suite=suite).public_bytes
        assert public == BbsKey.from_bytes(derived, suite=suite).public_bytes
        return derived, public

    def sign(self, secret: bytes, case: Case) -> bytes:
        key = BbsKey.from_bytes(secret, suite=case.suite)
        return key.sign(case.header, case.messages, random_bytes=secrets.token_bytes)

    def takes_signature(self, signature: bytes, case: Case) -> bool:
        try:
            bbs.verify(
                case.public,
                signature,
                header=case.header,
                messages=case.messages,
                suite=case.suite,
                backend=self._backend,
            )
        except CryptoError:
            return False
        return True

    def prove(self, signature: bytes, case: Case) -> bytes:
        return bbs.proof_gen(
            case.public,
            signature,
            header=case.header,
            ph=case.ph,
            messages=case.messages,
            disclosed_indexes=case.shown,
            random_bytes=secrets.token_bytes,
            suite=case.suite,
            backend=self._backend,
        )

    def takes_proof(self, proof: bytes, case: Case) -> bool:
        try:
            bbs.proof_verify(
                case.public,
                proof,
                header=case.header,
                ph=case.ph,
                disclosed_messages=case.named,
                disclosed_indexes=case.shown,
                suite=case.suite,
                backend=self._backend,
            )
        except CryptoError:
            return False
        return True


class Theirs:
    """@digitalbazaar/bbs-signatures, through a running `peer.mjs`."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions, self._answers = questions, answers

    def keys(self, material: bytes, suite: Suite) -> tuple[bytes, bytes]:
        made = self._ask(do="keys", suite=_id(suite), material=material.hex())
        return bytes.fromhex(made["secret"]), bytes.fromhex(made["public"])

    def sign(self, secret: bytes, case: Case) -> bytes:
        return bytes.fromhex(self._ask(**_sign(secret, case)))

    def takes_signature(self, signature: bytes, case: Case) -> bool:
        return self._holds(_verify(signature, case))

    def prove(self, signature: bytes, case: Case) -> bytes:
        return bytes.fromhex(self._ask(**_prove(signature, case)))

    def takes_proof(self, proof: bytes, case: Case) -> bool:
        return self._holds(_verify_proof(proof, case))

    def time_prove(self, signature: bytes, case: Case, rounds: int) -> list[float]:
        """Return milliseconds of each round, measured inside Node."""
        return self._time(_prove(signature, case), rounds)

    def time_proof(self, proof: bytes, case: Case, rounds: int) -> list[float]:
        """Return milliseconds of each verification of a good proof."""
        return self._time(_verify_proof(proof, case), rounds)

    def time_generators(self, case: Case, rounds: int) -> list[float]:
        """Return milliseconds of what is a part of each of the others."""
        return self._time(_verify(b"", case) | {"do": "generators"}, rounds)

    def _time(self, what: dict[str, Any], rounds: int) -> list[float]:
        return [float(ms) for ms in self._ask(do="time", what=what, rounds=rounds)]

    def _holds(self, question: dict[str, Any]) -> bool:
        told = self._told(question)
        return told.get("answer") is True

    def _ask(self, **question: Any) -> Any:
        told = self._told(question)
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["answer"]

    def _told(self, question: dict[str, Any]) -> dict[str, Any]:
        self._questions.write(json.dumps(question) + "\n")
        self._questions.flush()
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the Node process has ended")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def running_theirs() -> Iterator[Theirs]:
    """Install the package if it is not there, and run it.

    Raises:
        dashboard.build.BuildError: No Node with npm here, or npm failed.
    """
    tools = find_tools()
    with (FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes, one installation
        install(tools, FOLDER)
    command = [*tools.node, str(FOLDER / "peer.mjs")]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        yield Theirs(process.stdin, process.stdout)


def _id(suite: Suite) -> str:
    return suite.ciphersuite_id.decode()


def _common(case: Case) -> dict[str, Any]:
    return {
        "suite": _id(case.suite),
        "public": case.public.hex(),
        "header": case.header.hex(),
    }


def _sign(secret: bytes, case: Case) -> dict[str, Any]:
    return _common(case) | {
        "do": "sign",
        "secret": secret.hex(),
        "messages": [message.hex() for message in case.messages],
    }


def _verify(signature: bytes, case: Case) -> dict[str, Any]:
    return _common(case) | {
        "do": "verify",
        "signature": signature.hex(),
        "messages": [message.hex() for message in case.messages],
    }


def _prove(signature: bytes, case: Case) -> dict[str, Any]:
    return _verify(signature, case) | {
        "do": "prove",
        "ph": case.ph.hex(),
        "shown": list(case.shown),
    }


def _verify_proof(proof: bytes, case: Case) -> dict[str, Any]:
    return _common(case) | {
        "do": "verify_proof",
        "proof": proof.hex(),
        "ph": case.ph.hex(),
        "shown": list(case.shown),
        "named": [message.hex() for message in case.named],
    }
