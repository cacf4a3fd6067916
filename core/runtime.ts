/** What runs this: Deno, or an engine that has some of it. @module */

/** Deno, where this runs in it. */
export const deno: typeof Deno | undefined = Reflect.get(globalThis, "Deno");

/** A variable of the environment; undefined where it is not set, or may not be read. */
export function environmentVariable(name: string): string | undefined {
  if (!deno) return globalThis.process?.env[name];
  const { state } = deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? deno.env.get(name) : undefined;
}
