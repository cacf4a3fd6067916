/** Macros and the bodies of `{% call %}`. */

import { deeper } from "./budget.ts";
import { Dictionary } from "./dictionary.ts";
import { refuse } from "./errors.ts";
import { compileExpression } from "./expressions.ts";
import { mentions } from "./names.ts";
import { represent } from "./represent.ts";
import type { Output, Scope } from "./scope.ts";
import type { Parameter, Statement } from "./syntax.ts";
import { type Keywords, Markup, Thing, tuple, Undefined, type Value } from "./values.ts";

/** Runs the body of a macro. */
type Body = (scope: Scope, out: Output) => unknown;

/**
 * Compiles a macro; one without a name is a `caller`.
 *
 * @throws {TemplateError} if its body calls a caller that is a parameter without a default
 */
export function compileMacro(
  name: string | null,
  parameters: readonly Parameter[],
  statements: readonly Statement[],
  body: Body,
): (scope: Scope) => Thing {
  const takes = (special: string) =>
    mentions(statements, special) && !parameters.some((p) => p.name === special);
  const [takesMore, takesNames] = [takes("varargs"), takes("kwargs")];
  const usesCaller = mentions(statements, "caller");
  const explicitCaller = parameters.find((parameter) => parameter.name === "caller");
  if (usesCaller && explicitCaller !== undefined && explicitCaller.fallback === undefined) {
    refuse('the special "caller" argument of a macro must be omitted or be given a default');
  }
  const fallbacks = parameters.map(({ fallback }) =>
    fallback && compileExpression(fallback, false)
  );
  const shown = name === null ? "anonymous" : represent(name);
  const attributes = new Map<string, Value>([
    ["name", name],
    ["arguments", tuple(parameters.map((parameter) => parameter.name))],
    ["catch_kwargs", takesNames],
    ["catch_varargs", takesMore],
    ["caller", usesCaller],
    ["explicit_caller", explicitCaller !== undefined],
  ]);

  const call = (defined: Scope, args: readonly Value[], keywords: Keywords): Value => {
    const scope = defined.inner();
    const rest = new Map(keywords);
    const missing = bind(scope, args, rest);
    if (usesCaller && explicitCaller === undefined) {
      const caller = rest.get("caller");
      rest.delete("caller");
      scope.set("caller", caller ?? new Undefined("No caller defined"));
    }
    if (takesNames) scope.set("kwargs", new Dictionary(rest));
    else if (rest.size > 0) {
      refuse(`macro ${shown} takes no keyword argument '${[...rest.keys()][0]}'`);
    }
    const surplus = args.slice(parameters.length);
    if (takesMore) scope.set("varargs", tuple(surplus));
    else if (surplus.length > 0) {
      refuse(`macro ${shown} takes not more than ${parameters.length} argument(s)`);
    }
    for (const place of missing) {
      const { name } = parameters[place]!;
      const fallback = fallbacks[place];
      scope.set(
        name,
        fallback === undefined
          ? new Undefined(`parameter '${name}' was not provided`)
          : fallback(scope),
      );
    }
    const out = { text: "" };
    body(scope, out);
    return scope.run.environment.autoescape ? new Markup(out.text) : out.text;
  };

  /** Sets the parameters that are given, takes them from `rest`, and tells which are not. */
  function bind(scope: Scope, args: readonly Value[], rest: Map<string, Value>): number[] {
    const missing: number[] = [];
    parameters.forEach((parameter, place) => {
      let value = args[place];
      if (place >= args.length) {
        value = rest.get(parameter.name);
        rest.delete(parameter.name);
      }
      if (value === undefined) missing.push(place);
      scope.set(
        parameter.name,
        value === undefined ? new Undefined(`'${parameter.name}' is undefined`) : value,
      );
    });
    return missing;
  }

  return (scope) =>
    new Thing({
      type: "Macro",
      text: () => `<Macro ${shown}>`,
      attribute: (name) => attributes.get(name),
      call: (args, keywords) => deeper(`macro ${shown}`, () => call(scope, args, keywords)),
    });
}
