/**
 * Formulas of numbers, symbols and simple LaTeX as functions of their symbols. Two formulas are told apart by their
 * values, so nothing has to be simplified.
 *
 * @module
 */

/** A formula's value where symbols have the given values; NaN where it has none. */
export type Formula = (symbol: (name: string) => number) => number;

/** Thrown inside the parser where a text is no formula. */
class NotAFormula extends Error {}

const functions: Readonly<Record<string, (x: number) => number>> = {
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  cot: (x) => 1 / Math.tan(x),
  sec: (x) => 1 / Math.cos(x),
  csc: (x) => 1 / Math.sin(x),
  arcsin: Math.asin,
  arccos: Math.acos,
  arctan: Math.atan,
  ln: Math.log,
  exp: Math.exp,
};

const constants: Readonly<Record<string, number>> = { pi: Math.PI, infty: Infinity };
const mixedNumber = /^(\d+)\s*\\frac\s*(\{\s*\d+\s*\}|\d)\s*(\{\s*\d+\s*\}|\d)/;
const products = new Set(["cdot", "times", "ast"]);

/** Longest formula in characters: the parser recurses, and models write brackets without end. */
const longest = 500;

/** Parses a formula written in LaTeX without layout commands; null if it is none, or none of a bearable length. */
export function parseFormula(text: string): Formula | null {
  if (text.length > longest) return null;
  try {
    return new Parser(text).whole();
  } catch (error) {
    if (error instanceof NotAFormula) return null;
    throw error;
  }
}

/** Undefined, rather than infinite, where the divisor is 0. */
function quotient(a: Formula, b: Formula): Formula {
  return (s) => {
    const divisor = b(s);
    return divisor === 0 ? NaN : a(s) / divisor;
  };
}

function binomial(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= k; i++) result = result * (n - k + i) / i;
  return Math.round(result);
}

function factorial(n: number): number {
  if (!Number.isInteger(n) || n < 0 || n > 170) return NaN;
  let result = 1;
  for (let i = 2; i <= n; i++) result *= i;
  return result;
}

/** Recursive descent over the characters; a method's name is that of the grammar's rule. */
class Parser {
  #at = 0;

  constructor(readonly text: string) {}

  whole(): Formula {
    const value = this.#sum();
    if (this.#peek() !== "") this.#fail();
    return value;
  }

  #fail(): never {
    throw new NotAFormula();
  }

  /** The next character that is not a space; empty at the end. */
  #peek(): string {
    while (/\s/.test(this.text.charAt(this.#at))) this.#at++;
    return this.text.charAt(this.#at);
  }

  #match(pattern: RegExp): string | undefined {
    this.#peek();
    const found = pattern.exec(this.text.slice(this.#at))?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #expect(character: string): void {
    if (this.#peek() !== character) this.#fail();
    this.#at++;
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #command(): string {
    return /^\\([a-zA-Z]+)/.exec(this.text.slice(this.#at))?.[1] ?? "";
  }

  #sum(): Formula {
    let left = this.#product();
    for (;;) {
      const a = left;
      if (this.#take("+")) {
        const b = this.#product();
        left = (s) => a(s) + b(s);
      } else if (this.#take("-")) {
        const b = this.#product();
        left = (s) => a(s) - b(s);
      } else return left;
    }
  }

  #product(): Formula {
    let left = this.#signed();
    for (;;) {
      const a = left;
      const next = this.#peek();
      const command = next === "\\" ? this.#command() : "";
      if (next === "*" || products.has(command)) {
        this.#at += next === "*" ? 1 : command.length + 1;
        const b = this.#signed();
        left = (s) => a(s) * b(s);
      } else if (next === "/" || command === "div") {
        this.#at += next === "/" ? 1 : command.length + 1;
        const b = this.#signed();
        left = quotient(a, b);
      } else if (next !== "" && /[a-zA-Zα-ωΑ-Ω(\\]/.test(next)) {
        const b = this.#power();
        left = (s) => a(s) * b(s);
      } else return left;
    }
  }

  #signed(): Formula {
    if (this.#take("+")) return this.#signed();
    if (!this.#take("-")) return this.#power();
    const value = this.#signed();
    return (s) => -value(s);
  }

  #power(): Formula {
    let base = this.#atom();
    for (;;) {
      const a = base;
      if (this.#take("!")) base = (s) => factorial(a(s));
      else if (this.#take("^")) {
        const b = this.#argument();
        base = (s) => a(s) ** b(s);
      } else return base;
    }
  }

  /** What follows `^`, `\frac` or `\sqrt`: a group, or one digit, symbol or command. */
  #argument(): Formula {
    const digit = this.#match(/^\d/);
    if (digit !== undefined) return () => Number(digit);
    if (this.#take("-")) {
      const value = this.#argument();
      return (s) => -value(s);
    }
    return this.#atom();
  }

  #enclosed(close: string): Formula {
    const value = this.#sum();
    this.#expect(close);
    return value;
  }

  #atom(): Formula {
    const mixed = this.#match(mixedNumber);
    if (mixed !== undefined) return this.#mixed(mixed);
    const number = this.#match(/^(\d+(\.\d*)?|\.\d+)/);
    if (number !== undefined) {
      if (/\d/.test(this.#peek())) this.#fail(); // two numbers side by side are no product
      return () => Number(number);
    }
    if (this.#take("(")) return this.#enclosed(")");
    if (this.#take("{")) return this.#enclosed("}");
    if (this.#take("[")) return this.#enclosed("]");
    if (this.#take("|")) {
      const value = this.#enclosed("|");
      return (s) => Math.abs(value(s));
    }
    if (this.#peek() === "\\") return this.#commanded();
    const symbol = this.#match(/^[a-zA-Zα-ωΑ-Ω](_(\{[^{}]*\}|\w))?/);
    if (symbol === undefined) this.#fail();
    return symbol === "e" ? () => Math.E : (s) => s(symbol.replace(/[{}\s]/g, ""));
  }

  /** 2\frac{1}{3} is 2 + 1/3 where the fraction is proper, else a product as written. */
  #mixed(text: string): Formula {
    const [whole, numerator, denominator] = mixedNumber.exec(text)!.slice(1)
      .map((digits) => Number(digits.replace(/[{}]/g, ""))) as [number, number, number];
    const fraction = numerator / denominator;
    return () => fraction < 1 ? whole + fraction : whole * fraction;
  }

  #commanded(): Formula {
    const name = this.#command();
    if (name === "") this.#fail();
    this.#at += name.length + 1;
    if (Object.hasOwn(constants, name)) return () => constants[name]!;
    if (name === "frac") {
      const [a, b] = [this.#argument(), this.#argument()];
      return quotient(a, b);
    }
    if (name === "binom") {
      const [n, k] = [this.#argument(), this.#argument()];
      return (s) => binomial(n(s), k(s));
    }
    if (name === "sqrt") {
      const degree = this.#take("[") ? this.#enclosed("]") : () => 2;
      const value = this.#argument();
      return (s) => {
        const [x, n] = [value(s), degree(s)];
        if (n === 2) return Math.sqrt(x);
        return n === 3 ? Math.cbrt(x) : x ** (1 / n);
      };
    }
    if (name === "log") {
      const base = this.#take("_") ? this.#argument() : () => Math.E; // without a base, as SymPy reads it
      const value = this.#operand();
      return (s) => Math.log(value(s)) / Math.log(base(s));
    }
    const known = Object.hasOwn(functions, name) ? functions[name] : undefined;
    if (known !== undefined) {
      const power = this.#take("^") ? this.#argument() : () => 1;
      const value = this.#operand();
      return (s) => known(value(s)) ** power(s);
    }
    if (layoutOnly.test(name)) this.#fail();
    const subscript = this.#match(/^_(\{[^{}]*\}|\w)/) ?? "";
    return (s) => s(`\\${name}${subscript}`);
  }

  /** What a function without parentheses applies to: `\sin 2x` is that of 2x. */
  #operand(): Formula {
    let left = this.#power();
    while (/^[a-zα-ω\\]/.test(this.#peek()) && !products.has(this.#command())) {
      const name = this.#command();
      if (name === "div" || name === "log" || Object.hasOwn(functions, name)) break;
      const [a, b] = [left, this.#power()];
      left = (s) => a(s) * b(s);
    }
    return left;
  }
}

/** Commands that stand for something other than a symbol. */
const layoutOnly =
  /^(begin|end|text|pm|mp|to|cup|cap|in|notin|le|leq|ge|geq|ne|neq|approx|sim|equiv|sum|int|prod|lim|emptyset|mid|setminus|ldots|dots|cdots)$/;
