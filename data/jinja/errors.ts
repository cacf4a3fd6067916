/** What goes wrong in a template. */

/** A template that cannot be parsed or rendered; its message says what and where. */
export class TemplateError extends Error {
  /** "TemplateError". */
  override readonly name = "TemplateError";
}

/** Refuses: for places that need an expression. @throws {TemplateError} always */
export function refuse(message: string): never {
  throw new TemplateError(message);
}
