/** Tokenizers times texts: every checkpoint is read as AutoTokenizer reads it. */

import assert from "node:assert/strict";
import { saveTokenizer } from "../../../data/tokenizer/tokenizer_files.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { temporary } from "../../cli/run_command.ts";

interface Row {
  readonly ids: readonly number[];
  /** Without special tokens around, where these differ. */
  readonly plain?: readonly number[];
  /** Start and end of each of these in UTF-16 units. */
  readonly offsets: readonly number[];
  readonly decoded: string;
  /** Without special tokens, where that differs. */
  readonly skipped?: string;
}

interface Case {
  readonly name: string;
  /** By file: the name of a vocabulary, or what is written as JSON. */
  readonly files: Readonly<Record<string, string | object>>;
  /** The error of the reference, where it refuses. */
  readonly refused?: string;
  readonly size?: number;
  readonly named?: Readonly<Record<string, string>>;
  readonly rows?: readonly Row[];
}

const folder = new URL("../../fixtures/tokenizers/", import.meta.url);
const { texts, cases }: { readonly texts: readonly string[]; readonly cases: readonly Case[] } =
  JSON.parse(await Deno.readTextFile(new URL("goldens.json", folder)));

/** Cases that the reference opens as an empty tokenizer. */
const refusedHere = new Set(["refused: no files"]);

for (const { name, files, refused, named, rows = [] } of cases) {
  Deno.test(`a tokenizer is read as transformers reads it: ${name}`, async () => {
    using place = temporary();
    for (const [file, content] of Object.entries(files)) {
      const path = `${place.path}/${file}`;
      if (typeof content !== "string") await Deno.writeTextFile(path, JSON.stringify(content));
      else await Deno.copyFile(new URL(`vocabularies/${content}`, folder), path);
    }
    if (refused !== undefined || refusedHere.has(name)) {
      await assert.rejects(loadTokenizer(place.path), { name: "UserError" });
      return;
    }
    const tokenizer = await loadTokenizer(place.path);
    for (const [key, token] of Object.entries(named ?? {})) {
      assert.equal(tokenizer.specialTokens[key], token, key);
    }
    rows.forEach(({ ids, plain = ids, offsets, decoded, skipped = decoded }, i) => {
      const text = texts[i]!;
      const about = JSON.stringify(text);
      assert.deepEqual(tokenizer.encode(text), ids, about);
      assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), plain, about);
      assert.deepEqual(tokenizer.spans(text).flat(), offsets, about);
      assert.equal(tokenizer.decode(ids), decoded, about);
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), skipped, about);
    });
    if (!tokenizer.hasFile) {
      const saved = `${place.path}/saved`;
      await Deno.mkdir(saved);
      await Deno.copyFile(`${place.path}/config.json`, `${saved}/config.json`);
      await saveTokenizer(tokenizer, saved);
      const again = await loadTokenizer(saved);
      assert.ok(again.hasFile);
      rows.forEach(({ ids }, i) => assert.deepEqual(again.encode(texts[i]!), ids, texts[i]));
    }
    const all = tokenizer.encodeAll(texts.slice(0, rows.length));
    assert.deepEqual(all.map((ids) => [...ids]), rows.map(({ ids }) => ids));
  });
}
