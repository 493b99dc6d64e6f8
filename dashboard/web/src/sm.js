// SM3 and the checking of SM2 signatures, which no browser has of its own.
//
// Everything here is public: nothing is signed, and nothing has to take the same time.
//
// Formats: GB/T 32905 (SM3), GB/T 32918.2 and .5 (SM2), docs/protocols/suites.md.

const turn = (word, by) => (word << (by % 32)) | (word >>> (32 - (by % 32)));
const IV = [0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e];

export function sm3(bytes) {
  const blocks = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  blocks.set(bytes);
  blocks[bytes.length] = 0x80;
  const view = new DataView(blocks.buffer);
  view.setBigUint64(blocks.length - 8, 8n * BigInt(bytes.length));
  let state = IV;
  for (let place = 0; place < blocks.length; place += 64) state = compress(state, view, place);
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => out.setUint32(4 * index, word));
  return new Uint8Array(out.buffer);
}

function compress(state, view, place) {
  const w = Array.from({ length: 16 }, (_, j) => view.getInt32(place + 4 * j));
  for (let j = 16; j < 68; j++) {
    const x = w[j - 16] ^ w[j - 9] ^ turn(w[j - 3], 15);
    w[j] = x ^ turn(x, 15) ^ turn(x, 23) ^ turn(w[j - 13], 7) ^ w[j - 6];
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let j = 0; j < 64; j++) {
    const early = j < 16;
    const one = turn((turn(a, 12) + e + turn(early ? 0x79cc4519 : 0x7a879d8a, j)) | 0, 7);
    const ff = early ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
    const gg = early ? e ^ f ^ g : (e & f) | (~e & g);
    const first = (ff + d + (one ^ turn(a, 12)) + (w[j] ^ w[j + 4])) | 0;
    const second = (gg + h + one + w[j]) | 0;
    [a, b, c, d] = [first, a, turn(b, 9), c];
    [e, f, g, h] = [second ^ turn(second, 9) ^ turn(second, 17), e, turn(f, 19), g];
  }
  return [a, b, c, d, e, f, g, h].map((word, index) => word ^ state[index]);
}

const P = 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn;
const N = 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n;
const A = P - 3n;
const B = 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n;
const G = [
  0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n,
  0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n,
];

const mod = (value, by = P) => ((value % by) + by) % by;
const number = (bytes) => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
const octets = (value) => Uint8Array.from({ length: 32 }, (_, place) => Number((value >> BigInt(8 * (31 - place))) & 255n));
const joined = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

function power(base, exponent) {
  let found = 1n;
  for (let [square, rest] = [mod(base), exponent]; rest; [square, rest] = [mod(square * square), rest >> 1n]) {
    if (rest & 1n) found = mod(found * square);
  }
  return found;
}

// The point of a compressed key, or null.
function point(bytes) {
  if (bytes.length !== 33 || (bytes[0] !== 2 && bytes[0] !== 3)) return null;
  const x = number(bytes.slice(1));
  if (x >= P) return null;
  const square = mod(x * x * x + A * x + B);
  const y = power(square, (P + 1n) / 4n);
  if (mod(y * y) !== square) return null;
  return [x, (y & 1n) === BigInt(bytes[0] & 1) ? y : P - y];
}

// Points as (x/z^2, y/z^3); z of 0 is infinity.
function double([x, y, z]) {
  const [delta, gamma] = [mod(z * z), mod(y * y)];
  const [alpha, beta] = [mod(3n * (x - delta) * (x + delta)), mod(x * gamma)];
  const twice = mod(alpha * alpha - 8n * beta);
  return [twice, mod(alpha * (4n * beta - twice) - 8n * gamma * gamma), mod((y + z) ** 2n - gamma - delta)];
}

function add(one, other) {
  if (one[2] === 0n) return other;
  if (other[2] === 0n) return one;
  const [z1, z2] = [mod(one[2] ** 2n), mod(other[2] ** 2n)];
  const [u1, u2] = [mod(one[0] * z2), mod(other[0] * z1)];
  const [s1, s2] = [mod(one[1] * z2 * other[2]), mod(other[1] * z1 * one[2])];
  const [h, r] = [mod(u2 - u1), mod(s2 - s1)];
  if (h === 0n) return r === 0n ? double(one) : [1n, 1n, 0n];
  const [h2, h3] = [mod(h * h), mod(h * h * h)];
  const x = mod(r * r - h3 - 2n * u1 * h2);
  return [x, mod(r * (u1 * h2 - x) - s1 * h3), mod(h * one[2] * other[2])];
}

// GB/T 32918.2, section 7.1; false for whatever is wrong, as WebCrypto has it.
export function signedWithSm2(publicKey, message, signature) {
  const key = point(publicKey);
  if (key === null || signature.length !== 64) return false;
  const [r, s] = [number(signature.slice(0, 32)), number(signature.slice(32))];
  const t = (r + s) % N;
  if (r === 0n || s === 0n || r >= N || s >= N || t === 0n) return false;
  const identity = joined([0, 128], new TextEncoder().encode("1234567812345678"), ...[A, B, ...G, ...key].map(octets));
  const digest = number(sm3(joined(sm3(identity), message)));
  const [base, own] = [[...G, 1n], [...key, 1n]];
  const choices = [null, base, own, add(base, own)];
  let sum = [1n, 1n, 0n];
  for (let bit = 255n; bit >= 0n; bit--) {
    sum = double(sum);
    const choice = choices[Number(((s >> bit) & 1n) + 2n * ((t >> bit) & 1n))];
    if (choice) sum = add(sum, choice);
  }
  if (sum[2] === 0n) return false;
  const x = mod(sum[0] * power(sum[2] * sum[2], P - 2n));
  return (digest + x) % N === r;
}
