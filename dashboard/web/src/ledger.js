// The ledger's formats, read and checked with the browser's own cryptography.
//
// Nothing here touches the page. `Wrong` carries the name of the sentence that says
// what is wrong, and the state it leaves a line in.
//
// Formats: RFC 8785 (canonical JSON), RFC 9162 2.1 (Merkle trees), C2SP signed
// notes and checkpoints, RFC 8032 (Ed25519), RFC 7638 (key names).

export class Wrong extends Error {
  constructor(words, proof = [], state = "failed") {
    super(words);
    Object.assign(this, { words, proof, state });
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const utf8 = (text) => encoder.encode(text);
export const text = (bytes) => decoder.decode(bytes);
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const equal = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);
export const tagged = (thing, ...parts) => concat(utf8(`fieldpact/${thing}/1\0`), ...parts);
export const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

export const b64 = (value) => Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
export const b64u = (value) => b64(value.replaceAll("-", "+").replaceAll("_", "/"));
export const unhex = (value) => Uint8Array.from(value.match(/../g) ?? [], (pair) => parseInt(pair, 16));

const toB64u = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// RFC 8785 for values without fractions, which is all that is signed here.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const names = Object.keys(value).sort(); // by UTF-16 code unit, as the RFC asks
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

export async function keyId(did, publicKey) {
  const thumbprint = await sha256(utf8(canonical({ crv: "Ed25519", kty: "OKP", x: toB64u(publicKey) })));
  return `${did}#ed25519-${toB64u(thumbprint).slice(0, 16)}`;
}

export async function signedBy(publicKey, message, signature) {
  const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, signature, message);
}

const leafHash = (entry) => sha256(Uint8Array.of(0), entry);
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

// RFC 9162, 2.1.3.2. Positions stay below 2^53, so division takes the place of shifts.
export async function included(entry, index, size, proof, root) {
  if (!(index >= 0 && index < size)) return false;
  let [hash, node, last] = [await leafHash(entry), index, size - 1];
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = await nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else {
      hash = await nodeHash(hash, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && equal(hash, root);
}

// RFC 9162, 2.1.4.2.
export async function consistent(first, second, proof) {
  if (first.size === second.size) return proof.length === 0 && equal(first.root, second.root);
  if (!(first.size > 0 && first.size < second.size)) return false;
  const whole = Number.isInteger(Math.log2(first.size));
  const path = whole ? [first.root, ...proof] : [...proof];
  if (path.length === 0) return false;
  let [node, last] = [first.size - 1, second.size - 1];
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  let [old, grown] = [path[0], path[0]];
  for (const step of path.slice(1)) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      [old, grown] = [await nodeHash(step, old), await nodeHash(step, grown)];
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else {
      grown = await nodeHash(grown, step);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && equal(old, first.root) && equal(grown, second.root);
}

export const originOf = (did) => `${decodeURIComponent(did.replace("did:web:", "").replaceAll(":", "/"))}/log`;

// Opens a signed note with one pinned key; another signature on it is ignored.
export async function openCheckpoint(note, origin, publicKey) {
  const end = note.lastIndexOf("\n\n");
  const body = note.slice(0, end + 1);
  const name = await sha256(utf8(`${origin}\n`), Uint8Array.of(1), publicKey);
  for (const line of note.slice(end + 2).split("\n")) {
    const [dash, signer, value] = line.split(" ");
    if (dash !== "\u2014" || signer !== origin) continue;
    const signature = b64(value);
    if (!equal(signature.slice(0, 4), name.slice(0, 4))) continue;
    if (!(await signedBy(publicKey, utf8(body), signature.slice(4)))) break;
    const [first, size, root] = body.split("\n");
    if (first !== origin || !/^(0|[1-9][0-9]{0,15})$/.test(size)) break;
    return { origin, size: Number(size), root: b64(root) };
  }
  throw new Wrong("check.log.note", [["check.p.origin", origin]]);
}
