/** The syntax tree of a template. */

import type { Value } from "./values.ts";

/** Arguments of a call, filter or test. */
export interface Arguments {
  /** Positional arguments. */
  readonly positional: readonly Expression[];
  /** Keyword arguments. */
  readonly keywords: readonly { readonly name: string; readonly value: Expression }[];
  /** `*list`. */
  readonly list?: Expression;
  /** `**dictionary`. */
  readonly dictionary?: Expression;
}

/** An expression. */
export type Expression =
  | { readonly type: "constant"; readonly value: Value }
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "list" | "tuple"; readonly items: readonly Expression[] }
  | {
    readonly type: "dictionary";
    readonly entries: readonly (readonly [Expression, Expression])[];
  }
  | { readonly type: "unary"; readonly operator: "-" | "+" | "not"; readonly operand: Expression }
  | {
    readonly type: "binary";
    readonly operator: string;
    readonly left: Expression;
    readonly right: Expression;
  }
  | { readonly type: "concatenation"; readonly items: readonly Expression[] }
  | {
    readonly type: "comparison";
    readonly first: Expression;
    readonly rest: readonly { readonly operator: string; readonly value: Expression }[];
  }
  | {
    readonly type: "condition";
    readonly test: Expression;
    readonly then: Expression;
    readonly otherwise?: Expression;
  }
  | { readonly type: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly type: "subscript"; readonly object: Expression; readonly index: Expression }
  | {
    readonly type: "slice";
    readonly object: Expression;
    readonly start?: Expression;
    readonly stop?: Expression;
    readonly step?: Expression;
  }
  | Call
  | {
    readonly type: "filter";
    readonly operand: Expression;
    readonly name: string;
    readonly args: Arguments;
  }
  | {
    readonly type: "test";
    readonly operand: Expression;
    readonly name: string;
    readonly args: Arguments;
    readonly negated: boolean;
  };

/** A call. */
export interface Call {
  /** "call". */
  readonly type: "call";
  /** What is called. */
  readonly callee: Expression;
  /** With what. */
  readonly args: Arguments;
}

/** What a `set` or a `for` assigns to. */
export type Target =
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "attribute"; readonly object: string; readonly name: string }
  | { readonly type: "tuple"; readonly items: readonly Target[] };

/** A parameter of a macro or call block. */
export interface Parameter {
  /** Its name. */
  readonly name: string;
  /** Its default, if any. */
  readonly fallback?: Expression;
}

/** A filter with its arguments, as blocks apply them. */
export interface FilterUse {
  /** The filter's name. */
  readonly name: string;
  /** Its arguments. */
  readonly args: Arguments;
}

/** A statement. */
export type Statement =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "print"; readonly values: readonly Expression[] }
  | {
    readonly type: "if";
    readonly branches: readonly {
      readonly test: Expression;
      readonly body: readonly Statement[];
    }[];
    readonly otherwise: readonly Statement[];
  }
  | {
    readonly type: "for";
    readonly target: Target;
    readonly items: Expression;
    readonly filter?: Expression;
    readonly recursive: boolean;
    readonly body: readonly Statement[];
    readonly otherwise: readonly Statement[];
  }
  | { readonly type: "set"; readonly target: Target; readonly value: Expression }
  | {
    readonly type: "setBlock";
    readonly target: Target;
    readonly filters: readonly FilterUse[];
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "macro";
    readonly name: string;
    readonly parameters: readonly Parameter[];
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "callBlock";
    readonly parameters: readonly Parameter[];
    readonly call: Call;
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "filterBlock";
    readonly filters: readonly FilterUse[];
    readonly body: readonly Statement[];
  }
  | {
    readonly type: "with";
    readonly assignments: readonly { readonly target: Target; readonly value: Expression }[];
    readonly body: readonly Statement[];
  }
  | { readonly type: "autoescape"; readonly value: Expression; readonly body: readonly Statement[] }
  | {
    readonly type: "block";
    readonly name: string;
    readonly scoped: boolean;
    readonly required: boolean;
    readonly body: readonly Statement[];
  }
  | { readonly type: "refused"; readonly message: string }
  | { readonly type: "generation"; readonly body: readonly Statement[] }
  | { readonly type: "break" | "continue" };
