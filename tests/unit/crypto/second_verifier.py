"""A second verifier of FP-BBS-1 and FP-LBV-1, written from their pages alone.

It shares nothing with `crypto`: points, pairings and hashing to the curve are
py_ecc's, the rest is written out here. It is slow and plain on purpose, and
reads a case of the vectors as JSON.
"""

import datetime
import functools
import hashlib
import json
from typing import Any

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import optimized_curve as ec
from py_ecc.optimized_bls12_381.optimized_pairing import pairing

R = ec.curve_order
SUITE = b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_"
API = SUITE + b"H2G_TM2S_FP1_"
BIT_API = API + b"BITV_"


class Refused(Exception):
    """The presentation is not accepted."""


def need(condition: object, why: str) -> None:
    if not condition:
        raise Refused(why)


def i2osp(number: int, length: int) -> bytes:
    return number.to_bytes(length, "big")


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def tag(thing: str, data: bytes) -> bytes:
    return b"fieldpact/" + thing.encode() + b"/1\0" + data


def jcs(value: object) -> bytes:
    """Enough of RFC 8785 for what the vectors hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def expand(message: bytes, dst: bytes, length: int) -> bytes:
    dst_prime = dst + i2osp(len(dst), 1)
    b0 = sha(bytes(64) + message + i2osp(length, 2) + b"\0" + dst_prime)
    out, last = b"", bytes(32)
    for counter in range(1, -(-length // 32) + 1):
        mixed = bytes(x ^ y for x, y in zip(b0, last, strict=True))
        last = sha(mixed + i2osp(counter, 1) + dst_prime)
        out += last
    return out[:length]


def to_scalar(message: bytes, dst: bytes) -> int:
    return int.from_bytes(expand(message, dst, 48), "big") % R


@functools.cache
def create_generators(count: int, api: bytes, seed: bytes) -> list[Any]:
    v = expand(api + seed, api + b"SIG_GENERATOR_SEED_", 48)
    points = []
    for index in range(1, count + 1):
        v = expand(v + i2osp(index, 8), api + b"SIG_GENERATOR_SEED_", 48)
        points.append(hash_to_G1(v, api + b"SIG_GENERATOR_DST_", hashlib.sha256))  # type: ignore[arg-type]
    return points


def encode(point: Any) -> bytes:
    return i2osp(compress_G1(point), 48)


def g1(data: bytes) -> Any:
    try:
        point = decompress_G1(int.from_bytes(data, "big"))  # type: ignore[arg-type]
    except ValueError as error:
        raise Refused("not on the curve") from error
    need(len(data) == 48 and not ec.is_inf(point), "the identity")
    need(ec.is_inf(ec.multiply(point, R)), "outside the subgroup")
    need(encode(point) == data, "another spelling")
    return point


def g2(data: bytes) -> Any:
    halves = int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")
    try:
        point = decompress_G2(halves)  # type: ignore[arg-type]
    except ValueError as error:
        raise Refused("not a key") from error
    need(len(data) == 96 and not ec.is_inf(point), "the identity")
    need(ec.is_inf(ec.multiply(point, R)), "outside the subgroup")
    return point


def total(*terms: tuple[Any, int]) -> Any:
    result = ec.Z1
    for point, scalar in terms:
        result = ec.add(result, ec.multiply(point, scalar % R))
    return result


def message(field: dict[str, Any], value: Any, index: int) -> int:
    """Map a value: the two tables under Messages."""
    match field["kind"]:
        case _ if value is None:
            return 2**66 * (index + 1)
        case "text" | "boolean":
            return to_scalar(jcs(value), API + b"MAP_MSG_TO_SCALAR_AS_HASH_")
        case "integer":
            number = int(value)
        case "date":
            number = (
                datetime.date.fromisoformat(value) - datetime.date(1970, 1, 1)
            ).days
        case "money":
            whole, _, decimals = value.partition(".")
            need(len(decimals) == field["scale"], "decimals")
            number = int(whole + decimals)
        case _:
            raise Refused("no such kind")
    need(-(2**63) <= number < 2**63, "out of range")
    return int(number + 2**63)


def weights_of(predicate: dict[str, Any]) -> list[int]:
    if "among" in predicate:
        return [int(value, 16) for value in predicate["among"]]
    most = int(predicate["hi"]) - int(predicate["lo"])
    return [(most + 2**i) // 2 ** (i + 1) for i in range(most.bit_length())]


def sent_of(predicate: dict[str, Any]) -> int:
    count = len(weights_of(predicate))
    return count - 2 if "among" in predicate else max(count - 1, 0)


def side(predicate: dict[str, Any], v: dict[int, int], s: int) -> int:
    """Return v_a, v_a - v_b - s*lo or v_a + v_b - s*lo."""
    if "among" in predicate:
        return v[predicate["first"]]
    other = v[predicate["second"]] if predicate["second"] is not None else 0
    left = v[predicate["first"]] + predicate["sign"] * other
    return int(left - s * int(predicate["lo"]))


def complete(
    predicate: dict[str, Any], x: list[int], v: dict[int, int], s: int
) -> list[int]:
    w, target = weights_of(predicate), side(predicate, v, s)
    if not w:
        need(target % R == 0, "not equal")
        return []
    known = sum(weight * entry for weight, entry in zip(w, x, strict=False))
    if "among" not in predicate:
        return [*x, (target - known) % R]
    # p + q = s - sum(x);  w[-2]*p + w[-1]*q = target - known  (Cramer)
    one, two = s - sum(x), target - known
    inverse = pow(w[-1] - w[-2], -1, R)
    return [*x, (one * w[-1] - two) * inverse % R, (two - one * w[-2]) * inverse % R]


def predicate_octets(predicate: dict[str, Any]) -> bytes:
    first = i2osp(predicate["first"], 2)
    if "among" in predicate:
        values = [bytes.fromhex(value) for value in predicate["among"]]
        return b"\2" + first + i2osp(len(values), 2) + b"".join(values)
    second = predicate["second"]
    form = 0 if second is None else {-1: 1, 1: 2}[predicate["sign"]]
    bounds = [
        (int(predicate[name]) % 2**128).to_bytes(16, "big") for name in ("lo", "hi")
    ]
    return b"\1" + i2osp(form, 1) + first + i2osp(second or 0, 2) + b"".join(bounds)


def statement_octets(case: dict[str, Any]) -> bytes:
    stated = case["statement"]
    shown = [i2osp(index, 2) for index in stated["disclosed"]]
    predicates = [predicate_octets(one) for one in stated["predicates"]]
    return tag(
        "typed-statement",
        i2osp(len(API), 2) + API + schema_hash(case) + i2osp(length_of(case), 2)
        + i2osp(stated["anchored"], 1)
        + i2osp(len(shown), 2) + b"".join(shown)
        + i2osp(len(predicates), 2) + b"".join(predicates),
    )  # fmt: skip


def schema_hash(case: dict[str, Any]) -> bytes:
    return sha(tag("typed-schema", b"".join(map(field_digest, case["schema"]))))


def field_digest(field: dict[str, Any]) -> bytes:
    if "digest" in field:
        return bytes.fromhex(field["digest"])
    described = {name: field[name] for name in ("kind", "name", "scale", "unit")}
    described["number"] = field["kind"] in {"integer", "date", "money"}
    return sha(tag("typed-field", bytes.fromhex(field["salt"]) + jcs(described)))


def length_of(case: dict[str, Any]) -> int:
    return next(size for size in (16, 32, 64) if len(case["schema"]) + 2 <= size)


def opens(token: str, opening: str, customer: str) -> bool:
    data = bytes.fromhex(opening) + jcs(customer)
    return sha(tag("customer-token", data)).hex() == token


def named_of(case: dict[str, Any]) -> dict[int, int]:
    """Return the messages shown: fields and padding."""
    fields = enumerate(case["schema"], 2)
    told = {index: field for index, field in fields if "name" in field}
    need(set(case["statement"]["disclosed"]) <= set(told), "a field not told")
    names = [told[index]["name"] for index in case["statement"]["disclosed"]]
    need(sorted(names) == sorted(case["shown"]), "fields shown")
    named = {
        index: message(field, case["shown"][field["name"]], index)
        for index, field in told.items()
        if field["name"] in case["shown"]
    }
    named |= dict.fromkeys(range(2 + len(case["schema"]), length_of(case)), 0)
    return named


def complete_all(
    predicates: list[dict[str, Any]], m: dict[int, int], c: int, rest: bytes
) -> tuple[list[int], bytes]:
    """Return the whole vector f, and what is left of the octets."""
    f: list[int] = []
    for one in predicates:
        f += complete(one, scalars(rest[: 32 * sent_of(one)]), m, c)
        rest = rest[32 * sent_of(one) :]
    return f, rest


def bit_moves(
    predicates: list[dict[str, Any]], m: dict[int, int], c: int, tail: bytes
) -> list[bytes]:
    """Return K_b, K_c, K_a and K_d."""
    k_b, k_c = tail[:48], tail[48:96]
    f, rest = complete_all(predicates, m, c, tail[96:])
    z1, z2 = scalars(rest)
    need(len(f) <= 64, "more bits than the vectors have")
    base, *g = create_generators(65, BIT_API, b"MESSAGE_GENERATOR_SEED")
    k_a = total((base, z1), *zip(g, f, strict=False), (g1(k_b), -c))
    squares = [x * (c - x) for x in f]
    k_d = total((base, z2), *zip(g, squares, strict=False), (g1(k_c), -c))
    return [k_b, k_c, encode(k_a), encode(k_d)]


def check(case: dict[str, Any]) -> None:
    """Verify one case. Raises `Refused`."""
    stated, length = case["statement"], length_of(case)
    header, ph = case["header"].encode(), bytes.fromhex(case["ph"])
    public, proof = bytes.fromhex(case["public"]), bytes.fromhex(case["proof"])
    need(json.loads(header)["messages"] == length, "length of the record")
    need(json.loads(header)["schema_hash"] == schema_hash(case).hex(), "schema")
    need((case["commitment"] is not None) == stated["anchored"], "anchored")
    # 1. The messages shown.
    named = named_of(case)
    hidden = [index for index in range(length) if index not in named]
    # 2. The presentation, taken apart.
    predicates = stated["predicates"]
    bits = sum(len(weights_of(one)) for one in predicates)
    sent = sum(sent_of(one) for one in predicates)
    cut = 272 + 32 * len(hidden)
    need(len(proof) == cut + (96 + 32 * (sent + 2) if bits else 0), "length")
    abar, bbar, d = (g1(proof[at : at + 48]) for at in (0, 48, 96))
    numbers = scalars(proof[144:cut])
    need(all(numbers), "a response of BBS is zero")
    e, r1, r3, *answers, c = numbers
    m = dict(zip(hidden, answers, strict=True))
    # 3. The first moves.
    q1, *h = create_generators(length + 1, API, b"MESSAGE_GENERATOR_SEED")
    [p1] = create_generators(1, API, b"BP_MESSAGE_GENERATOR_SEED")
    octets = public + i2osp(length, 8) + b"".join(map(encode, (q1, *h)))
    octets += API + i2osp(len(header), 8) + header
    domain = to_scalar(octets, API + b"H2S_")
    start = total((p1, 1), (q1, domain), *((h[i], x) for i, x in named.items()))
    t1 = total((bbar, c), (abar, e), (d, r1))
    t2 = total((start, c), (d, r3), *((h[j], x) for j, x in m.items()))
    anchor = []
    if stated["anchored"]:
        c_rec = bytes.fromhex(case["commitment"])
        anchor = [c_rec, encode(total((d, r3), (g1(c_rec), c)))]
    points = bit_moves(predicates, m, c, proof[cut:]) if bits else []
    if not bits:
        complete_all(predicates, m, c, b"")  # there may be equalities
    # 4. The presentation header, and the challenge.
    octets = statement_octets(case)
    body = i2osp(len(ph), 8) + ph + i2osp(len(octets), 8) + octets
    for part in (anchor, points):
        body += i2osp(len(part), 8) + b"".join(part)
    bound = tag("typed-presentation", body)
    octets = i2osp(len(named), 8)
    octets += b"".join(i2osp(i, 8) + i2osp(named[i], 32) for i in sorted(named))
    octets += b"".join(map(encode, (abar, bbar, d, t1, t2)))
    octets += i2osp(domain, 32) + i2osp(len(bound), 8) + bound
    need(to_scalar(octets, API + b"H2S_") == c, "challenge")
    # 5. The pairing.
    need(pairing(g2(public), abar) == pairing(ec.G2, bbar), "signature")


def scalars(data: bytes) -> list[int]:
    numbers = [
        int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)
    ]
    need(len(data) % 32 == 0 and all(number < R for number in numbers), "a scalar")
    return numbers
