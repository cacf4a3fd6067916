/**
 * Python's pickles, read by a machine that can execute nothing: it has lists, tuples, dictionaries, numbers and texts
 * of its own, and asks its caller what a global name or a persistent id stands for. Protocols 2 to 5, as
 * https://docs.python.org/3/library/pickletools.html describes them.
 *
 * Every instruction takes a byte at least and none repeats, copies or walks what was built, so that time and memory
 * are linear in the bytes.
 *
 * @module
 */

/** What a pickle may hold here. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleObject;

/** What a caller's global or persistent id stands for. */
export interface PickleObject {
  /** What it is, for messages. */
  readonly name: string;
  /** What becomes of it when the pickle calls it; not to be called by default. */
  readonly call?: (args: readonly PickleValue[]) => PickleValue;
}

/** What a pickle means outside of itself. Both may throw. */
export interface PickleWorld {
  /** What a name of a module stands for. */
  readonly global: (module: string, name: string) => PickleValue;
  /** What an id stands for. */
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** Why bytes are not a pickle that can be read. */
export class PickleError extends Error {
  override name = "PickleError";
}

/** Whether a value came from the caller. */
export function isPickleObject(value: PickleValue): value is PickleObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Map) && !(value instanceof Uint8Array);
}

const mark = Symbol("mark");
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads one pickle from the start of some bytes. @throws PickleError */
export function unpickle(
  bytes: Uint8Array,
  world: PickleWorld,
): { readonly value: PickleValue; readonly length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: (PickleValue | typeof mark)[] = [];
  const memo = new Map<number, PickleValue>();
  let at = 0;

  const refuse = (reason: string): never => {
    throw new PickleError(`${reason} (byte ${at} of the pickle)`);
  };
  const take = (length: number): number => {
    if (length > bytes.length - at) refuse("it is cut off");
    const start = at;
    at += length;
    return start;
  };
  const size8 = (): number => {
    const size = view.getBigUint64(take(8), true);
    return size > BigInt(bytes.length) ? refuse("it is cut off") : Number(size);
  };
  const raw = (length: number): Uint8Array => {
    const start = take(length);
    return bytes.subarray(start, start + length);
  };
  const text = (length: number): string => {
    try {
      return utf8.decode(raw(length));
    } catch (error) {
      if (error instanceof PickleError) throw error;
      return refuse("a text in it is not UTF-8");
    }
  };
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0) refuse("it is cut off");
    const found = text(end - at);
    at++;
    return found;
  };
  const pop = (): PickleValue => {
    const value = stack.pop();
    return value === undefined || value === mark ? refuse("it takes what is not there") : value;
  };
  const top = (): PickleValue => {
    const value = stack.at(-1);
    return value === undefined || value === mark ? refuse("it takes what is not there") : value;
  };
  const toMark = (): PickleValue[] => {
    const start = stack.lastIndexOf(mark);
    if (start < 0) refuse("it takes what is not there");
    const values = stack.splice(start).slice(1);
    return values as PickleValue[];
  };
  const fill = (into: PickleValue, items: readonly PickleValue[]) => {
    if (!(into instanceof Map) || items.length % 2 !== 0) {
      return refuse("it puts items into what is no dictionary");
    }
    for (let i = 0; i < items.length; i += 2) into.set(items[i]!, items[i + 1]!);
  };
  const append = (into: PickleValue, items: readonly PickleValue[]) => {
    if (!Array.isArray(into)) return refuse("it appends to what is no list");
    for (const item of items) into.push(item);
  };
  const call = (callee: PickleValue, args: PickleValue) => {
    if (!isPickleObject(callee) || !callee.call || !Array.isArray(args)) {
      return refuse("it calls what cannot be called");
    }
    stack.push(callee.call(args));
  };
  const global = (module: PickleValue, name: PickleValue) => {
    if (typeof module !== "string" || typeof name !== "string") return refuse("a name is no text");
    stack.push(world.global(module, name));
  };
  const recall = (index: number) => stack.push(memo.get(index) ?? remembered(index));
  const remembered = (index: number): PickleValue =>
    memo.has(index) ? memo.get(index)! : refuse("it recalls what it never kept");
  const integer = (length: number): number | bigint => {
    const digits = raw(length);
    let value = 0n;
    for (const digit of digits.toReversed()) value = (value << 8n) | BigInt(digit);
    if (length > 0 && digits[length - 1]! >= 128) value -= 1n << BigInt(8 * length);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  };

  const instructions: Readonly<Record<number, () => unknown>> = {
    0x80: () => { // PROTO
      const protocol = view.getUint8(take(1));
      if (protocol > 5) refuse(`it is of protocol ${protocol}; 2 to 5 are known`);
    },
    0x95: () => take(8), // FRAME
    0x28: () => stack.push(mark), // MARK
    0x30: () => pop(), // POP
    0x31: () => toMark(), // POP_MARK
    0x32: () => stack.push(top()), // DUP
    0x4e: () => stack.push(null), // NONE
    0x88: () => stack.push(true), // NEWTRUE
    0x89: () => stack.push(false), // NEWFALSE
    0x4b: () => stack.push(view.getUint8(take(1))), // BININT1
    0x4d: () => stack.push(view.getUint16(take(2), true)), // BININT2
    0x4a: () => stack.push(view.getInt32(take(4), true)), // BININT
    0x8a: () => stack.push(integer(view.getUint8(take(1)))), // LONG1
    0x47: () => stack.push(view.getFloat64(take(8), false)), // BINFLOAT
    0x58: () => stack.push(text(view.getUint32(take(4), true))), // BINUNICODE
    0x8c: () => stack.push(text(view.getUint8(take(1)))), // SHORT_BINUNICODE
    0x8d: () => stack.push(text(size8())), // BINUNICODE8
    0x54: () => stack.push(text(view.getUint32(take(4), true))), // BINSTRING
    0x55: () => stack.push(text(view.getUint8(take(1)))), // SHORT_BINSTRING
    0x42: () => stack.push(raw(view.getUint32(take(4), true))), // BINBYTES
    0x43: () => stack.push(raw(view.getUint8(take(1)))), // SHORT_BINBYTES
    0x8e: () => stack.push(raw(size8())), // BINBYTES8
    0x5d: () => stack.push([]), // EMPTY_LIST
    0x29: () => stack.push([]), // EMPTY_TUPLE
    0x7d: () => stack.push(new Map()), // EMPTY_DICT
    0x6c: () => stack.push(toMark()), // LIST
    0x74: () => stack.push(toMark()), // TUPLE
    0x85: () => stack.push([pop()]), // TUPLE1
    0x86: () => stack.push([pop(), pop()].reverse()), // TUPLE2
    0x87: () => stack.push([pop(), pop(), pop()].reverse()), // TUPLE3
    0x64: () => { // DICT
      const items = toMark();
      const made = new Map<PickleValue, PickleValue>();
      fill(made, items);
      stack.push(made);
    },
    0x61: () => { // APPEND
      const item = pop();
      append(top(), [item]);
    },
    0x65: () => { // APPENDS
      const items = toMark();
      append(top(), items);
    },
    0x73: () => { // SETITEM
      const [value, key] = [pop(), pop()];
      fill(top(), [key, value]);
    },
    0x75: () => { // SETITEMS
      const items = toMark();
      fill(top(), items);
    },
    0x71: () => memo.set(view.getUint8(take(1)), top()), // BINPUT
    0x72: () => memo.set(view.getUint32(take(4), true), top()), // LONG_BINPUT
    0x94: () => memo.set(memo.size, top()), // MEMOIZE
    0x68: () => recall(view.getUint8(take(1))), // BINGET
    0x6a: () => recall(view.getUint32(take(4), true)), // LONG_BINGET
    0x63: () => global(line(), line()), // GLOBAL
    0x93: () => { // STACK_GLOBAL
      const [name, module] = [pop(), pop()];
      global(module, name);
    },
    0x51: () => stack.push(world.persistent(pop())), // BINPERSID
    0x52: () => { // REDUCE
      const args = pop();
      call(pop(), args);
    },
    // BUILD: what is set on a dictionary besides its items means nothing here.
    0x62: () => {
      pop();
      if (!(top() instanceof Map)) refuse("it sets the state of what has none");
    },
  };

  for (;;) {
    const code = view.getUint8(take(1));
    if (code === 0x2e) break; // STOP
    const instruct = Object.hasOwn(instructions, code) ? instructions[code] : undefined;
    if (!instruct) refuse(`the instruction 0x${code.toString(16).padStart(2, "0")} is not known`);
    instruct!();
  }
  return { value: pop(), length: at };
}
