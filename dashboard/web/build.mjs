// Builds the style sheet, the two scripts, the font and the mark into the
// directory given as first argument. Names carry a hash of the content; brotli
// and gzip forms lie beside each text file; manifest.json lists the names and
// the digest of the sources (second argument).
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [out, sources] = process.argv.slice(2);
const font = "node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2";

const hashed = (path, data) => {
  const digest = createHash("sha256").update(data).digest("hex").slice(0, 10);
  return `${basename(path, extname(path))}.${digest}${extname(path)}`;
};

const put = async (name, data) => {
  await writeFile(join(out, name), data);
  if (extname(name) === ".woff2") return;
  const quality = { [constants.BROTLI_PARAM_QUALITY]: 11 };
  await writeFile(join(out, `${name}.br`), brotliCompressSync(data, { params: quality }));
  await writeFile(join(out, `${name}.gz`), gzipSync(data, { level: 9 }));
};

await mkdir(out, { recursive: true });
const manifest = join(out, "manifest.json");
const before = await readFile(manifest, "utf8").then((text) => JSON.parse(text).files, () => ({}));

const files = {};
for (const path of [font, "src/mark.svg"]) {
  const data = await readFile(path);
  files[basename(path)] = hashed(path, data);
  await put(files[basename(path)], data);
}
files["inter.woff2"] = files[basename(font)];
delete files[basename(font)];

const result = await build({
  entryPoints: ["src/app.css", "src/app.js", "src/receipt.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"],
  legalComments: "none",
  external: ["/static/*"],
  outdir: out,
  write: false,
});
for (const { path, contents } of result.outputFiles) {
  const text = Buffer.from(contents).toString().replaceAll("/static/FONT", `/static/${files["inter.woff2"]}`);
  files[basename(path)] = hashed(path, text);
  await put(files[basename(path)], text);
}

await writeFile(manifest, JSON.stringify({ sources, files }, null, 2) + "\n");

// A dashboard that runs on the build before this one keeps its files.
const kept = [...Object.values(before), ...Object.values(files), "manifest.json"];
for (const name of await readdir(out)) {
  if (!kept.includes(name.replace(/\.(br|gz)$/, ""))) await rm(join(out, name));
}
