// Speaks for @digitalbazaar/bbs-signatures: a JSON object on each line of stdin is
// a question, and a line of stdout is the answer. Octets are written in hex.
//
//   {"do": "prove", "suite": "BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_", ...}
//     -> {"answer": "8f3a..."}, or {"error": "..."} if the library threw
//   {"do": "time", "what": {"do": "prove", ...}, "rounds": 20}
//     -> {"answer": [81.2, ...]}, the milliseconds of each round

import {createInterface} from 'node:readline';
import * as bbs from '@digitalbazaar/bbs-signatures';
// Not exported; only timed here, for it is a part of what every verb below takes.
import {create_generators, createApiId} from
  './node_modules/@digitalbazaar/bbs-signatures/lib/bbs/util.js';
import {getCiphersuite} from
  './node_modules/@digitalbazaar/bbs-signatures/lib/bbs/ciphersuites.js';

const octets = hex => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = octets => Buffer.from(octets).toString('hex');

// The names of the wire, as the library calls them.
function options(asked) {
  const given = {
    seed: asked.material,
    secretKey: asked.secret,
    publicKey: asked.public,
    header: asked.header,
    presentationHeader: asked.ph,
    signature: asked.signature,
    proof: asked.proof
  };
  const named = Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, octets(value)]);
  return {
    ...Object.fromEntries(named),
    ciphersuite: asked.suite,
    messages: asked.messages?.map(octets),
    disclosedMessages: asked.named?.map(octets),
    disclosedMessageIndexes: asked.shown
  };
}

const verbs = {
  keys: async given => {
    const {secretKey, publicKey} = await bbs.generateKeyPair(given);
    return {secret: hex(secretKey), public: hex(publicKey)};
  },
  sign: async given => hex(await bbs.sign(given)),
  verify: given => bbs.verifySignature(given),
  prove: async given => hex(await bbs.deriveProof(given)),
  verify_proof: given => bbs.verifyProof(given),
  generators: given => create_generators({
    count: given.messages.length + 1,
    api_id: createApiId(given.ciphersuite, 'H2G_HM2S_'),
    ciphersuite: getCiphersuite(given.ciphersuite)
  })
};

async function time({what, rounds}) {
  const verb = verbs[what.do], given = options(what), took = [];
  for(let round = 0; round < rounds; ++round) {
    const begun = performance.now();
    const answer = await verb(given);
    took.push(performance.now() - begun);
    if(answer === false) {
      throw new Error('what was timed did not hold');
    }
  }
  return took;
}

async function answer(asked) {
  return asked.do === 'time' ? time(asked) : verbs[asked.do](options(asked));
}

for await (const line of createInterface({input: process.stdin})) {
  const told = await answer(JSON.parse(line)).then(
    answer => ({answer}), error => ({error: String(error)}));
  process.stdout.write(JSON.stringify(told) + '\n');
}
