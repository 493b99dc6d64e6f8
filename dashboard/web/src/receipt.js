// Checks one receipt in the browser, and only then says what is in it.
//
// Lines, each with a state of its own; the weakest decides the verdict:
//   record     its hash, computed here, is the receipt id in the page's address; of a step
//              of a plan, plan and answer are those that it names, where they are shown
//   log        the path from it leads to the root of a checkpoint the provider signed
//   signature  the provider's, and the caller's if there is one, under *pinned* keys
//   anchor     what the chain answered to this dashboard (not to the node)
//   snapshot   of an allowed call: what it was answered from was committed to before
// Keys come from the dashboard's registry file. Facts come from the hashed bytes.
import { Wrong, b64u, canonical, consistent, equal, hashOf, hex, included, keyNamed, keysOf, openCheckpoint, originOf, sha256, signedBy, tagged, text, unhex, utf8 } from "./ledger.js";
import { asked, filled, proved } from "./proofs.js";

const ORDER = ["checked", "pending", "stated", "failed"]; // as ledger.steps has it
const ZEROS = "0".repeat(64);

const MAIN = ["at", "provider", "consumer", "dataset", "fields", "where", "purpose", "step", "plan", "spent", "decision", "denials", "customers", "records", "statement", "snapshot"];
const MORE = ["agreement", "agreement_hash", "stream", "sequence", "previous", "request_hash", "response_hash", "nonce", "withheld", "policy", "key_id"];
const OF_A_STEP = ["step", "plan", "spent"];
const OF_A_QUERY = ["where", "customers", "records", "statement", "snapshot", "withheld"];

// Throws when there is nothing to check: that says nothing about the receipt.
export async function check(article) {
  const id = article.dataset.receipt;
  const material = await fetched(`/receipts/${id}/check.json`);
  const paper = new Paper(article, material);
  const found = { id, ...material };
  await paper.line("record", () => record(found));
  await paper.line("log", () => log(found));
  await paper.line("signature", () => signature(found));
  await paper.line("anchor", () => anchor(found));
  if (found.core?.snapshot) await paper.line("snapshot", () => snapshot(found));
  paper.verdict(found.core);
}

async function fetched(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

// --- the four checks: each returns {state, words, values, proof} or throws Wrong

async function record(found) {
  const { evidence, id } = found;
  const bytes = b64u(evidence.canonical);
  const computed = hex(await sha256(tagged("receipt", bytes)));
  const proof = [["check.p.computed", computed], ["check.p.expected", id]];
  if (computed !== id) throw new Wrong("check.record.differs", proof);
  const words = text(bytes);
  const core = JSON.parse(words);
  // One canonical form: a name twice, or a second record beside this one, differs.
  if (canonical(core) !== words || canonical(evidence.receipt) !== words) throw new Wrong("check.record.form");
  if (core.typ !== "fieldpact/receipt/1") throw new Wrong("check.record.form");
  Object.assign(found, { bytes, core });
  if (evidence.disclosure) return { state: "stated", words: "check.record.values", proof };
  if (core.plan === null) return { state: "checked", words: "check.record.ok", proof };
  const also = [await planned(found), await answered(found)].filter(Boolean);
  const state = also.some((each) => each.state) ? "stated" : "checked";
  return { state, words: "check.record.ok", proof, also };
}

// Of a step: the plan that the receipt names, and the consumer's signature on it.
async function planned({ evidence, core, registry }) {
  if (!evidence.plan) return null;
  const { plan, signature: signed } = evidence.plan;
  const bytes = tagged("plan", utf8(canonical(plan)));
  const computed = hex(await sha256(bytes));
  if (computed !== core.plan || plan.asker !== core.consumer) throw new Wrong("check.record.plan", [["check.p.computed", computed]]);
  const pin = registry.pins.find(({ did }) => did === core.consumer);
  if (!pin) return { state: "stated", words: "check.record.plan_unpinned" };
  const key = await keyNamed(pin, plan.key_id);
  if (!key || !(await signedBy(key, bytes, b64u(signed)))) throw new Wrong("check.record.plan");
  return { words: "check.record.planned" };
}

// Of a step that was allowed: what it was answered with, the octets by their hash.
async function answered({ evidence, core }) {
  if (core.response_hash === null) return null;
  if (!evidence.answer) return { words: "check.record.sealed" };
  const computed = hex(await sha256(tagged("step-answer", utf8(canonical(evidence.answer)))));
  if (computed !== core.response_hash) throw new Wrong("check.record.answer", [["check.p.computed", computed]]);
  return { words: "check.record.answered" };
}

async function log(found) {
  const { evidence, bytes } = found;
  const entry = await logged(found, bytes, evidence.provider_signature, evidence);
  if (entry === null) return { state: "pending", words: "check.log.pending" };
  found.checkpoint = entry.checkpoint;
  return { state: "checked", words: "check.log.ok", ...entry };
}

// Walks from an entry, a receipt or a snapshot, to a checkpoint; null: there is none yet.
async function logged(found, bytes, signed, place) {
  if (place.checkpoint === null) return null;
  const pin = provider(found);
  const checkpoint = await openCheckpoint(place.checkpoint, originOf(pin.did), keysOf(pin));
  const hashed = hashOf(pin);
  const entry = await hashed(b64u(place.salt), bytes, b64u(signed));
  const proof = [["check.p.root", hex(checkpoint.root)], ["check.p.origin", checkpoint.origin]];
  if (!(await included(entry, place.index, checkpoint.size, place.inclusion.map(b64u), checkpoint.root, hashed))) {
    throw new Wrong("check.log.path", proof);
  }
  return { checkpoint, values: { index: place.index + 1, size: checkpoint.size }, proof };
}

async function signature(found) {
  const { evidence, bytes, core } = found;
  const pin = provider(found);
  const proof = [["check.p.key", core.key_id], ["check.p.source", source(found)]];
  const key = await keyNamed(pin, core.key_id);
  if (!key) throw new Wrong("check.signature.other_key", proof);
  const signed = b64u(evidence.provider_signature);
  if (!(await signedBy(key, tagged("receipt", bytes), signed))) throw new Wrong("check.signature.wrong", proof);
  const also = await countersignature(found, signed);
  return { state: also.state ?? "checked", words: "check.signature.ok", values: { name: pin.name }, also: [also], proof };
}

async function countersignature({ evidence, core, id, registry }, signed) {
  if (core.consumer === null) return { words: "check.signature.nobody" };
  const counter = evidence.countersignature;
  if (counter === null) return { state: "pending", words: "check.signature.alone" };
  const pin = registry.pins.find(({ did }) => did === core.consumer);
  if (!pin) return { state: "stated", words: "check.signature.counter_unpinned" };
  const message = tagged("countersignature", unhex(id), signed);
  const key = await keyNamed(pin, counter.key_id);
  if (!key || !(await signedBy(key, message, b64u(counter.signature)))) throw new Wrong("check.signature.counter_wrong");
  return { words: "check.signature.countersigned", values: { name: pin.name } };
}

async function anchor(found) {
  if (found.evidence.anchor !== null && !found.checkpoint) return { state: "stated", words: "check.skipped" };
  return anchored(found, found.checkpoint, found.evidence.anchor, "anchor.json");
}

async function anchored(found, checkpoint, stated, question) {
  if (stated === null) return { state: "pending", words: "check.anchor.pending" };
  const pin = provider(found);
  const proof = [
    ["check.p.commitment", hex(b64u(stated.commitment))],
    ["check.p.epoch", String(stated.epoch)],
    ["check.p.contract", stated.contract],
    ["check.p.block", String(stated.block)],
  ];
  const same = (one, other) => String(one).toLowerCase() === String(other).toLowerCase();
  if (!same(stated.member, pin.chain_address)) throw new Wrong("check.anchor.account", proof);
  const hashed = hashOf(pin);
  const opened = await hashed(tagged("checkpoint-commitment", b64u(stated.salt), utf8(stated.checkpoint)));
  if (!equal(opened, b64u(stated.commitment))) throw new Wrong("check.anchor.opening", proof);
  const later = await openCheckpoint(stated.checkpoint, originOf(pin.did), keysOf(pin));
  if (!(await consistent(checkpoint, later, stated.consistency.map(b64u), hashed))) throw new Wrong("check.anchor.cover", proof);
  let answer;
  try {
    answer = await fetched(`/receipts/${found.id}/${question}`);
  } catch {
    answer = { state: "unavailable" };
  }
  if (answer.state !== "held" && answer.state !== "absent") {
    return { state: "stated", words: `check.anchor.${answer.state}`, proof };
  }
  if (!same(stated.chain_id, answer.chain_id) || !same(stated.contract, answer.contract)) {
    return { state: "stated", words: "check.anchor.elsewhere", proof };
  }
  if (!same(answer.member, pin.chain_address) || answer.epoch !== stated.epoch) throw new Wrong("check.anchor.account", proof);
  if (answer.state === "absent") throw new Wrong("check.anchor.absent", proof);
  proof.splice(1, 0, ["check.p.found", answer.commitment]);
  if (answer.commitment !== hex(opened)) throw new Wrong("check.anchor.differs", proof);
  return { state: "checked", words: "check.anchor.ok", proof, at: answer.at };
}

// What was committed to before the call: the snapshot that the receipt names.
async function snapshot(found) {
  const { committed: told, core } = found;
  if (told === null) return { state: "stated", words: "check.snapshot.untold" };
  const bytes = utf8(canonical(told.snapshot));
  const computed = hex(await sha256(tagged("snapshot", bytes)));
  const named = told.snapshot.agreement === core.agreement && told.snapshot.dataset === core.dataset;
  if (computed !== core.snapshot || !named) throw new Wrong("check.snapshot.other", [["check.p.computed", computed]]);
  const signed = b64u(told.snapshot_signature);
  const key = await keyNamed(provider(found), told.snapshot.key_id);
  if (!key || !(await signedBy(key, tagged("snapshot", bytes), signed))) throw new Wrong("check.snapshot.unsigned");
  const entry = await logged(found, bytes, told.snapshot_signature, told.snapshot_place);
  if (entry === null) return { state: "pending", words: "check.snapshot.pending" };
  const result = await anchored(found, entry.checkpoint, told.snapshot_place.anchor, "anchor.json?of=snapshot");
  const own = told.snapshot.sequence;
  const also = [];
  if (result.at) also.push({ words: "check.snapshot.at", values: { at: result.at } });
  if (Number.isInteger(told.newest) && told.newest > own) also.push({ words: "check.snapshot.older", values: { own: own + 1, n: told.newest + 1 } });
  const words = { checked: "check.snapshot.ok", pending: "check.snapshot.pending" }[result.state] ?? result.words;
  return { ...result, words, also };
}

function provider({ core, registry }) {
  const pin = registry.pins.find(({ did }) => did === core.provider);
  if (!pin) throw new Wrong("check.signature.unpinned", [], "stated");
  return pin;
}

const source = ({ registry, words }) =>
  filled(words["check.p.source.value"], { source: registry.source, digest: `${registry.digest.slice(0, 16)}…` });

// --- what the reader sees of it

class Paper {
  constructor(article, { words, titles, grants, registry }) {
    Object.assign(this, { article, words, titles, grants, registry, states: [] });
    this.language = document.documentElement.lang.slice(0, 2);
  }

  async line(name, establish) {
    let result;
    try {
      result = await establish();
    } catch (error) {
      result = failure(name, error, this.states);
    }
    this.states.push(result.state);
    const line = this.article.querySelector(`[data-line="${name}"]`);
    line.hidden = false;
    line.className = `line is-${result.state}`;
    line.querySelector(".glyph").replaceChildren(glyph(this.article, result.state));
    line.querySelector(".word").textContent = this.words[`check.state.${result.state}`];
    const sentences = [result, ...(result.also ?? [])].map((each) => this.say(each));
    line.querySelector(".detail").textContent = sentences.join(this.language === "zh" ? "" : " ");
    const list = line.querySelector(".proof");
    list.hidden = !result.proof?.length;
    list.replaceChildren(...(result.proof ?? []).map(([key, value]) => entry(this.words[key], value)));
  }

  say({ words, values = {} }) {
    const named = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, this.shown(value)]));
    return filled(this.words[words], named);
  }

  shown(value) {
    if (typeof value === "number") return value.toLocaleString("en");
    return typeof value === "object" ? (value[this.language] ?? Object.values(value)[0]) : value;
  }

  verdict(core) {
    const weakest = ORDER[Math.max(...this.states.map((state) => ORDER.indexOf(state)))];
    const place = this.article.querySelector("[data-verdict]");
    place.className = `verdict is-${weakest}`;
    const heading = element("h2", glyph(this.article, weakest), element("span", this.words[`check.verdict.${weakest}`]));
    place.replaceChildren(heading, element("p", this.words[`check.verdict.${weakest}.browser`]));
    const [, , signature] = this.states;
    const trusted = core && ["checked", "pending"].includes(signature) && weakest !== "failed";
    const about = this.article.querySelector("[data-facts-about]");
    about.textContent = this.words[trusted ? "check.titles" : "check.withheld"];
    if (trusted) this.facts(core);
  }

  facts(core) {
    const list = this.article.querySelector("[data-facts]");
    const unsaid = core.step === null ? OF_A_STEP : OF_A_QUERY;
    const main = MAIN.filter((name) => !blank(core[name]) && !unsaid.includes(name));
    const others = MORE.filter((name) => !unsaid.includes(name));
    list.replaceChildren(...main.map((name) => (name === "where" ? this.proof(core) : this.fact(name, core[name]))));
    const more = element("details", element("summary", this.words["check.more"]), element("dl", ...others.map((name) => this.fact(name, core[name]))));
    list.after(more);
    const record = this.article.querySelector("[data-record]");
    record.hidden = false;
    record.querySelector("pre").textContent = JSON.stringify(core, null, 2);
  }

  proof(core) {
    const { words } = this;
    const mark = element("span.zk", glyph(this.article, "proof"), words["mode.predicate"]);
    const wanted = asked(core, this);
    const outcome = core.decision === "allow" && proved(core, words);
    const sentence = outcome ? filled(words["where.outcome"], { asked: wanted, outcome }) : wanted;
    return element("div", element("dt", words["fact.where"]), element("dd", mark, " ", sentence));
  }

  fact(name, value) {
    const titles = { dataset: this.titles.datasets, fields: this.titles.fields, purpose: this.titles.purposes }[name] ?? {};
    const parts = [];
    for (const item of Array.isArray(value) ? value : [value]) {
      if (parts.length) parts.push(element("br"));
      parts.push(...this.item(name, item, titles));
    }
    const term = element("dt", this.words[`fact.${name}`]);
    return element("div", term, element("dd", ...(parts.length ? parts : ["–"])));
  }

  item(name, item, titles) {
    if (item === null || (name === "previous" && item === ZEROS)) return ["–"];
    if (name === "provider" || name === "consumer") {
      const pin = this.registry.pins.find(({ did }) => did === item);
      return pin ? [element("strong", this.shown(pin.name)), element("br"), code(item)] : [code(item)];
    }
    if (name === "decision" || name === "denials") {
      const word = this.words[`${name === "decision" ? name : "code"}.${item}`];
      return [word ? element("strong", word) : "", " ", code(item)];
    }
    if (name === "step") {
      const word = this.words[`step.${item}`] ?? item;
      return word === item ? [code(item)] : [element("strong", word), " ", code(item)];
    }
    if (name === "plan") return [code(item), " ", this.leads(`/plans/${encodeURIComponent(item)}`, "check.plan.open")];
    if (name === "policy") return [code(`${item.engine} · ${item.revision} · ${item.input_hash}`)];
    if (name === "spent") return [`ε ${(item / 1e6).toLocaleString("en", { maximumFractionDigits: 6 })}`];
    if (typeof item === "number") return [item.toLocaleString("en")];
    const title = titles[item];
    return title ? [code(item), " ", element("span.muted", title)] : [code(item)];
  }

  leads(href, words) {
    const link = element("a", this.words[words]);
    link.href = href;
    return link;
  }
}

function failure(name, error, states) {
  if (error instanceof Wrong) return error;
  if (error?.name === "NotSupportedError") return { state: "stated", words: "check.unsupported" };
  if (states[0] === "failed") return { state: "stated", words: "check.skipped" }; // no record to go on from
  const words = { record: "check.record.form", log: "check.log.path", signature: "check.signature.wrong", anchor: "check.anchor.opening", snapshot: "check.snapshot.unsigned" };
  return { state: "failed", words: words[name] };
}

const blank = (value) => value === null || (Array.isArray(value) && value.length === 0);
const code = (value) => element("code", String(value));
const entry = (term, value) => element("div", element("dt", term), element("dd", value));
const glyph = (article, state) =>
  article.querySelector("[data-glyphs]").content.querySelector(`[data-glyph="${state}"] svg`).cloneNode(true);

function element(name, ...children) {
  const [tag, className] = name.split(".");
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}
