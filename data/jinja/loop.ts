/** The `loop` of a `for`: where it stands, what comes before and after. */

import { equal } from "./compare.ts";
import { refuse } from "./errors.ts";
import { iterator, lengthOf } from "./iterate.ts";
import { callable, Thing, tuple, Undefined, type Value } from "./values.ts";
import { positional } from "./signature.ts";
import { spend } from "./budget.ts";

/** A running loop; it asks its items for the next one only when that is wanted. */
export class Loop {
  /** What the template sees. */
  readonly value: Thing;
  #items: Iterator<Value>;
  #length: number | undefined;
  #index = -1;
  #before: Value | undefined;
  #current: Value | undefined;
  /** The next item, if it was looked at already; null at the end. */
  #ahead: { readonly item: Value } | null | undefined;
  #lastChanged: Value | undefined;

  /** Takes what to walk over, how deep it stands, and how to run it again for inner items. */
  constructor(
    items: Value,
    readonly depth: number,
    recurse: ((items: Value) => Value) | undefined,
  ) {
    this.#items = iterator(items);
    this.#length = lengthOf(items);
    const takesItems = positional("loop", 1);
    this.value = new Thing({
      type: "LoopContext",
      text: () => `<LoopContext ${this.#index + 1}/${this.#count()}>`,
      length: () => this.#count(),
      attribute: (name) => this.#attribute(name),
      call: (args, keywords) => {
        const [inner] = takesItems(args, keywords);
        return recurse === undefined
          ? refuse("The loop must have the 'recursive' marker to be called recursively.")
          : recurse(inner!);
      },
    });
  }

  /** Goes on to the next item; undefined at the end. */
  next(): { readonly item: Value } | undefined {
    const next = this.#peek();
    this.#ahead = undefined;
    if (next === null) return undefined;
    this.#index++;
    this.#before = this.#current;
    this.#current = next.item;
    return next;
  }

  #peek(): { readonly item: Value } | null {
    if (this.#ahead === undefined) {
      spend(1);
      const next = this.#items.next();
      this.#ahead = next.done ? null : { item: next.value };
    }
    return this.#ahead;
  }

  #count(): number {
    if (this.#length === undefined) {
      const rest: Value[] = [];
      for (let next = this.#items.next(); !next.done; next = this.#items.next()) {
        spend(1);
        rest.push(next.value);
      }
      this.#items = rest[Symbol.iterator]();
      this.#length = rest.length + this.#index + 1 + (this.#ahead ? 1 : 0);
    }
    return this.#length;
  }

  #attribute(name: string): Value | undefined {
    switch (name) {
      case "index":
        return this.#index + 1;
      case "index0":
        return this.#index;
      case "revindex":
        return this.#count() - this.#index;
      case "revindex0":
        return this.#count() - this.#index - 1;
      case "first":
        return this.#index === 0;
      case "last":
        return this.#peek() === null;
      case "length":
        return this.#count();
      case "depth":
        return this.depth + 1;
      case "depth0":
        return this.depth;
      case "previtem":
        return this.#index === 0 ? new Undefined("there is no previous item") : this.#before;
      case "nextitem":
        return this.#next();
      case "cycle":
        return callable("method", (args, keywords) => {
          if (keywords.size > 0) refuse("cycle takes no keyword arguments");
          return args.length === 0
            ? refuse("no items for cycling given")
            : args[this.#index % args.length]!;
        });
      case "changed":
        return callable("method", (args, keywords) => {
          if (keywords.size > 0) refuse("changed takes no keyword arguments");
          const now = tuple(args);
          if (this.#lastChanged !== undefined && equal(this.#lastChanged, now)) return false;
          this.#lastChanged = now;
          return true;
        });
      default:
        return undefined;
    }
  }

  #next(): Value {
    const ahead = this.#peek();
    return ahead === null ? new Undefined("there is no next item") : ahead.item;
  }
}
