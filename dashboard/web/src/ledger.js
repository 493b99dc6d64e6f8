// The ledger's formats, read and checked with the browser's own cryptography.
//
// Nothing here touches the page. `Wrong` carries the name of the sentence that says
// what is wrong, and the state it leaves a line in.
//
// Formats: RFC 8785 (canonical JSON), RFC 9162 2.1 (Merkle trees), C2SP signed
// notes and checkpoints, RFC 8032 (Ed25519), RFC 7638 (key names); docs/protocols/suites.md.
import { signedWithSm2, sm3 } from "./sm.js";

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

// Suites by name: how a key is named, checks a signature and is told in a note, and the
// hash function of its owner's log.
const SUITES = {
  ed25519: {
    digest: (publicKey) => sha256(utf8(canonical({ crv: "Ed25519", kty: "OKP", x: toB64u(publicKey) }))),
    check: async (publicKey, message, signature) => {
      const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
      return crypto.subtle.verify("Ed25519", key, signature, message);
    },
    type: Uint8Array.of(1),
    hash: sha256,
  },
  sm2: {
    digest: sha256,
    check: async (publicKey, message, signature) => signedWithSm2(publicKey, message, signature),
    type: utf8("?fieldpact/note-sm2/1\0").fill(255, 0, 1),
    hash: async (...parts) => sm3(concat(...parts)),
  },
};

// A pinned participant's own suite, and the keys that it signs or has signed with.
const suiteOf = (pin) => pin.signing ?? "ed25519";
export const hashOf = (pin) => SUITES[suiteOf(pin)].hash;
export function keysOf(pin) {
  const suite = suiteOf(pin);
  const past = (pin.past_keys ?? []).filter((key) => key.suite === suite);
  return [pin.keys[suite], ...past.map((key) => key.public)].map((key) => ({ suite, publicKey: b64u(key) }));
}

async function keyId(did, { suite, publicKey }) {
  return `${did}#${suite}-${toB64u(await SUITES[suite].digest(publicKey)).slice(0, 16)}`;
}

// The pinned key of an id, or undefined.
export async function keyNamed(pin, id) {
  for (const key of keysOf(pin)) if ((await keyId(pin.did, key)) === id) return key;
  return undefined;
}

export const signedBy = ({ suite, publicKey }, message, signature) => SUITES[suite].check(publicKey, message, signature);

// RFC 9162, 2.1.3.2. Positions stay below 2^53, so division takes the place of shifts.
export async function included(entry, index, size, proof, root, hashed) {
  if (!(index >= 0 && index < size)) return false;
  const nodeHash = (left, right) => hashed(Uint8Array.of(1), left, right);
  let [hash, node, last] = [await hashed(Uint8Array.of(0), entry), index, size - 1];
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
export async function consistent(first, second, proof, hashed) {
  const nodeHash = (left, right) => hashed(Uint8Array.of(1), left, right);
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

// Opens a signed note with the pinned keys of its log: the first line of one of them
// decides. Lines of others are passed over.
export async function openCheckpoint(note, origin, keys) {
  const end = note.lastIndexOf("\n\n");
  const body = note.slice(0, end + 1);
  const names = await Promise.all(
    keys.map(({ suite, publicKey }) => sha256(utf8(`${origin}\n`), SUITES[suite].type, publicKey)),
  );
  for (const line of note.slice(end + 2).split("\n")) {
    const [dash, signer, value] = line.split(" ");
    if (dash !== "\u2014" || signer !== origin) continue;
    const signature = b64(value);
    const key = keys[names.findIndex((name) => equal(signature.slice(0, 4), name.slice(0, 4)))];
    if (!key) continue;
    if (!(await signedBy(key, utf8(body), signature.slice(4)))) break;
    const [first, size, root] = body.split("\n");
    if (first !== origin || !/^(0|[1-9][0-9]{0,15})$/.test(size)) break;
    return { origin, size: Number(size), root: b64(root) };
  }
  throw new Wrong("check.log.note", [["check.p.origin", origin]]);
}
