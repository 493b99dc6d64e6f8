// In words: what was to be proved, and of how many records it was.
//
// The same sentences as dashboard/proofs.py, from the bytes that were checked here.
// What a number counts is not in a receipt: `grants` has it from the agreement.
const DATE = /^\d{4}-\d\d-\d\d$/;
const NUMBER = /^-?\d+(\.\d+)?$/;

export function asked({ where }, { words, grants }) {
  return where.map((condition) => one(condition, words, grants[condition.fields[0]])).join(words["where.and"]);
}

export function proved({ records, withheld }, words) {
  if (!records && !withheld) return words["proved.nothing"];
  const kind = records && withheld ? "some" : records ? "all" : "none";
  const n = records || withheld;
  const key = `proved.${kind}`;
  return filled((n === 1 && words[`${key}.one`]) || words[key], { n: grouped(n), withheld: grouped(withheld) });
}

function one({ fields: [a, b], is, values }, words, grant) {
  const shown = values.map((value) => written(value, is, words, grant));
  if (shown.length && grant?.unit) shown[shown.length - 1] += ` ${grant.unit}`;
  const [x, y] = is === "one_of" ? [shown.join(words["list.comma"])] : shown;
  const date = grant ? grant.type === "date" : values.some((value) => DATE.test(value));
  const key = `where.${is}`;
  return filled((date && words[`${key}.date`]) || words[key], { a, b, x, y });
}

function written(value, is, words, grant) {
  if (typeof value === "boolean") return words[`where.${value}`];
  const text = grant ? grant.type === "text" : typeof value === "string" && !DATE.test(value);
  if (is === "one_of" && text) return filled(words["where.text"], { x: value });
  return NUMBER.test(value) ? grouped(value) : String(value);
}

const grouped = (number) => String(number).replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

export const filled = (sentence, values = {}) => sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
