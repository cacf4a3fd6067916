/** Mutations of files: of bytes, of text, of JSON values, of safetensors headers. Each follows from its random numbers alone. @module */

/** Random numbers that depend on a seed alone (mulberry32), so that an input can be made again from its number. */
export interface Dice {
  /** A whole number in [0, below). */
  readonly below: (below: number) => number;
  /** One of a list. */
  readonly of: <T>(list: readonly T[]) => T;
}

/** Dice of a seed. */
export function dice(seed: number): Dice {
  let state = (seed + 1) * 0x9e3779b9 | 0;
  const next = () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
  const below = (n: number) => Math.floor(next() * n);
  return { below, of: (list) => list[below(list.length)]! };
}

/** What happens to a file's bytes. */
export type Mutation = (bytes: Uint8Array<ArrayBuffer>, dice: Dice) => Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A part of the bytes is lost, doubled, changed or put in. */
export const mutateBytes: Mutation = (bytes, dice) => {
  const at = dice.below(bytes.length);
  const far = Math.min(bytes.length, at + 1 + dice.below(64));
  const [before, part, after] = [bytes.slice(0, at), bytes.slice(at, far), bytes.slice(far)];
  switch (dice.below(6)) {
    case 0:
      return before;
    case 1:
      return joined(before, after);
    case 2:
      return joined(before, part, part, after);
    case 3:
      part[0] = dice.of([0, 0x80, 0xff, 0xc3, part[0]! ^ 1 << dice.below(8)]);
      return joined(before, part, after);
    case 4:
      return joined(bytes, Uint8Array.of(...dice.of([[0], [10], [0xff, 0xfe], [123]])));
    default:
      return joined(before, Uint8Array.of(dice.below(256)), part, after);
  }
};

const oddTexts = [
  "\ufeff",
  "\0",
  "\u2028",
  "\ud83d",
  "{",
  "}",
  "]",
  "[",
  '"',
  ",",
  "#",
  "\\",
  "\t",
  "/*x*/",
];

/** A character or a line of a text is lost, doubled, changed or put in. */
export const mutateText: Mutation = (bytes, dice) => {
  const text = decoder.decode(bytes);
  const at = dice.below(text.length + 1);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  const lines = text.split("\n");
  const line = dice.below(lines.length);
  switch (dice.below(7)) {
    case 0:
      return encoder.encode(before);
    case 1:
      return encoder.encode(before + after.slice(1));
    case 2:
      return encoder.encode(before + dice.of(oddTexts) + after);
    case 3:
      return encoder.encode(lines.toSpliced(line, 0, lines[line]!).join("\n"));
    case 4:
      return encoder.encode(lines.toSpliced(line, 1).join("\n"));
    case 5:
      return encoder.encode(
        dice.of(["\ufeff", " ", "\n\n"]) + text + dice.of(["", "\n\n", "x", ","]),
      );
    default:
      return encoder.encode(lines.join(dice.of(["\r\n", "\n", "\n\n"])));
  }
};

/** A value of JSON whose numbers keep their spelling. */
type Json = unknown;
type Container = Json[] | Record<string, Json>;

const raw = (text: string): Json => (JSON as RawJson).rawJSON(text);
interface RawJson extends JSON {
  readonly rawJSON: (text: string) => unknown;
  readonly isRawJSON: (value: unknown) => boolean;
}

/** Parses JSON and keeps how numbers are written. */
export function parseSpelled(text: string): Json {
  return JSON.parse(
    text,
    (_key, value, context?: { readonly source?: string }) =>
      typeof value === "number" ? raw(context!.source!) : value,
  );
}

function isContainer(value: Json): value is Container {
  return typeof value === "object" && value !== null && !(JSON as RawJson).isRawJSON(value);
}

const odd = (): Json[] => [
  null,
  true,
  false,
  "",
  "abc",
  "1",
  [],
  {},
  [null],
  [[]],
  { a: 1 },
  "\ud800",
  "a\0b",
  "é",
  ...[
    "0",
    "-1",
    "1",
    "2",
    "3.5",
    "-0.0",
    "5.0",
    "1e400",
    "1e-7",
    "9007199254740993",
    "4294967296",
    "400",
    "100000000000000000000",
  ]
    .map(raw),
];

/** One value of a JSON document is lost, renamed, doubled or becomes another. */
export function mutateJson(root: Json, dice: Dice): Json {
  const document = { root };
  let place: Container = document;
  let key = "root";
  // Walks down, and stops at a depth of its own choice: what is seldom nested deep is met more often.
  for (let value: Json = root; isContainer(value);) {
    const keys: string[] = Object.keys(value);
    if (keys.length === 0 || (place !== document && dice.below(4) === 0)) break;
    [place, key] = [value, dice.of(keys)];
    value = Array.isArray(place) ? place[Number(key)] : place[key];
  }
  if (Array.isArray(place)) mutateItem(place, Number(key), dice);
  else mutateField(place, key, dice);
  return document.root;
}

function mutateItem(list: Json[], at: number, dice: Dice): void {
  switch (dice.below(4)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      list.splice(at, 0, list[at]);
      break;
    case 2:
      list.splice(dice.below(list.length), 0, ...list.splice(at, 1));
      break;
    default:
      list[at] = changed(list[at], dice);
  }
}

function mutateField(object: Record<string, Json>, key: string, dice: Dice): void {
  switch (dice.below(6)) {
    case 0:
      delete object[key];
      break;
    case 1:
      object[key + dice.of(["x", "_", " ", "s"])] = object[key];
      delete object[key];
      break;
    case 2:
      object[dice.of(["unknown", "", "__proto__x", "constructor", "id", "type"])] = dice.of(odd());
      break;
    default:
      object[key] = changed(object[key], dice);
  }
}

function changed(value: Json, dice: Dice): Json {
  if (dice.below(2) === 0) return dice.of(odd());
  if (typeof value === "string") {
    const at = dice.below(value.length + 1);
    return dice.of([
      value + "x",
      value.slice(0, at) + value.slice(at + 1),
      value.toUpperCase(),
      [value],
      value.slice(0, at) + dice.of([" ", "\n", "é", "(", "*", "\\"]) + value.slice(at),
    ]);
  }
  if ((JSON as RawJson).isRawJSON(value)) {
    const number = Number((value as { rawJSON: string }).rawJSON);
    return dice.of<Json>([
      raw(String(number + 1)),
      raw(String(-number)),
      raw(String(number * 2)),
      String(number),
      raw(Number.isInteger(number) ? `${number}.0` : String(Math.trunc(number))),
      [value],
    ]);
  }
  return isContainer(value) ? dice.of<Json>([[value], { value }, null, []]) : dice.of(odd());
}

/** A value of a JSON file becomes another; the file stays JSON, written as it was. */
export function jsonMutation(indent?: number): Mutation {
  return (bytes, dice) =>
    encoder.encode(
      JSON.stringify(mutateJson(parseSpelled(decoder.decode(bytes)), dice), null, indent),
    );
}

/** A value of one of the lines of JSON becomes another. */
export const mutateJsonLine: Mutation = (bytes, dice) => {
  const lines = decoder.decode(bytes).trimEnd().split("\n");
  const at = dice.below(lines.length);
  lines[at] = JSON.stringify(mutateJson(parseSpelled(lines[at]!), dice));
  return encoder.encode(lines.join("\n") + "\n");
};

/** A number that JSON has no word for, in place of a value. */
export const mutateConstant: Mutation = (bytes, dice) => {
  const text = decoder.decode(bytes);
  const values = [...text.matchAll(/(?<=: ?)(?:"[^"]*"|-?[\d.]+(?:e-?\d+)?|true|false|null)/g)];
  if (values.length === 0) return mutateText(bytes, dice);
  const { index, 0: found } = dice.of(values);
  const word = dice.of([
    "NaN",
    "Infinity",
    "-Infinity",
    "nul",
    "'x'",
    "01",
    "+1",
    ".5",
    "1.",
    "0x10",
    "True",
    "None",
  ]);
  return encoder.encode(text.slice(0, index) + word + text.slice(index + found.length));
};

/** A value of the header of a safetensors file becomes another; its length says so or does not. */
export const mutateSafetensorsHeader: Mutation = (bytes, dice) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = Number(view.getBigUint64(0, true));
  const header = decoder.decode(bytes.subarray(8, 8 + length));
  const data = bytes.subarray(8 + length);
  const text = JSON.stringify(mutateJson(parseSpelled(header), dice));
  const changed = encoder.encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const size = new Uint8Array(8);
  const said = dice.below(12) === 0
    ? dice.of([0n, 1n, 1n << 40n, (1n << 64n) - 1n])
    : BigInt(changed.length);
  new DataView(size.buffer).setBigUint64(0, said, true);
  return joined(size, changed, data);
};

/** A gzip stream of the bytes, whole or not. @param members How many streams stand one after the other. */
export async function gzipped(
  bytes: Uint8Array<ArrayBuffer>,
  members = 1,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = Math.ceil(bytes.length / members);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < members; i++) {
    const part = new Blob([bytes.slice(i * size, (i + 1) * size)]).stream();
    parts.push(
      new Uint8Array(
        await new Response(part.pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
      ),
    );
  }
  return joined(...parts);
}

/** Bytes one after the other. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A value anywhere in a JSON document, each as likely as another, becomes one of another kind. */
export function wrongValue(indent?: number): Mutation {
  return (bytes, dice) => {
    const document = { root: parseSpelled(decoder.decode(bytes)) };
    const places: [Container, string][] = [];
    const walk = (place: Container) => {
      for (const key of Object.keys(place)) {
        places.push([place, key]);
        const value = (place as Record<string, Json>)[key];
        if (isContainer(value)) walk(value);
      }
    };
    walk(document);
    const [place, key] = dice.of(places.slice(1));
    (place as Record<string, Json>)[key] = dice.of([...odd(), ...extremes()]);
    return encoder.encode(JSON.stringify(document.root, null, indent));
  };
}

const extremes = (): Json[] => [
  ...[
    "1099511627776",
    "-1099511627776",
    "1e308",
    "-1e308",
    "0.0",
    "1.0",
    "2.0",
    "4",
    "7",
    "9223372036854775808",
    "1e-320",
  ].map(raw),
  "none",
  "True",
  "default",
  "float16",
  "relu",
  [raw("1"), raw("2")],
  [raw("0")],
  ["a", "b"],
  { rope_type: "linear", factor: raw("2.0") },
  { type: "yarn" },
  "x".repeat(5000),
];

/** The header or the bytes of a safetensors file, changed as writers with faults would. */
export const miswrittenWeights: Mutation = (bytes, dice) => {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(decoder.decode(bytes.subarray(8, 8 + length))) as Header;
  let data = bytes.slice(8 + length);
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  const [one, two] = [dice.of(names), dice.of(names)];
  const tensor = header[one]!;
  let write = JSON.stringify;
  switch (dice.below(14)) {
    case 0:
      header[two]!.data_offsets = [...tensor.data_offsets];
      break;
    case 1:
      [tensor.data_offsets, header[two]!.data_offsets] = [
        header[two]!.data_offsets,
        tensor.data_offsets,
      ];
      break;
    case 2:
      tensor.dtype = dice.of([
        "I32",
        "U32",
        "F16",
        "BF16",
        "F64",
        "F8_E4M3",
        "F8_E5M2",
        "BOOL",
        "C64",
        "f32",
        "I64",
        "U8",
        "F4",
        "",
      ]);
      break;
    case 3:
      tensor.shape = [...tensor.shape].reverse();
      break;
    case 4:
      tensor.shape = dice.of([
        [1, ...tensor.shape],
        [...tensor.shape, 1],
        [tensor.shape.reduce((a, b) => a * b, 1)],
        [],
        [0],
        [2 ** 40],
        [2 ** 40, 2 ** 40],
        [0, 2 ** 40],
        [4294967296, 4294967296],
      ]);
      break;
    case 5: {
      // Half as wide, twice as long: the bytes fit.
      tensor.dtype = dice.of(["F16", "BF16", "I16"]);
      tensor.shape = tensor.shape.map((size, i) => i === 0 ? 2 * size : size);
      break;
    }
    case 6:
      tensor.dtype = dice.of(["I32", "U32"]);
      break;
    case 7: {
      const value = dice.of([NaN, Infinity, -Infinity, 1e38, 0]);
      new DataView(data.buffer).setFloat32(tensor.data_offsets[0]!, value, true);
      break;
    }
    case 8:
      header[
        dice.of([
          "surplus",
          "lm_head.weight",
          "model.norm.bias",
          "model.layers.7.mlp.up_proj.weight",
        ])
      ] ??= {
        dtype: "F32",
        shape: [2],
        data_offsets: [data.length, data.length + 8],
      };
      data = joined(data, new Uint8Array(8));
      break;
    case 9:
      data = dice.of([
        joined(data, new Uint8Array(dice.of([1, 4, 8, 4096]))),
        data.slice(0, -4),
        new Uint8Array(0),
      ]);
      break;
    case 10:
      write = (value) =>
        JSON.stringify(value).replace("{", `{${JSON.stringify(one)}:${JSON.stringify(tensor)},`);
      break;
    case 11:
      header["__metadata__"] = dice.of<Json>([{ format: "tf" }, { format: "np" }, {}, null, [], {
        format: 1,
      }, { a: "b" }]) as Header[string];
      break;
    case 12:
      delete header["__metadata__"];
      if (dice.below(2) === 0) delete header[one];
      break;
    default:
      header[
        dice.of([
          one + "x",
          "model." + one,
          one.replace("model.", ""),
          one.replace(/weight$/, "base_layer.weight"),
          "base_model." + one,
        ])
      ] = tensor;
      delete header[one];
  }
  const text = write(header);
  const padding = dice.of([8, 8, 8, 1, 3]);
  const changed = encoder.encode(text.padEnd(Math.ceil(text.length / padding) * padding));
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(changed.length), true);
  return joined(size, changed, data);
};

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
