/** Which names a part of a template reads and assigns to. */

function search(part: unknown, holds: (node: object) => boolean): boolean {
  if (typeof part !== "object" || part === null) return false;
  return holds(part) || Object.values(part).some((inner) => search(inner, holds));
}

/** Whether a name stands anywhere in a part of the syntax tree. */
export function mentions(part: unknown, name: string): boolean {
  return search(
    part,
    (node) => "type" in node && node.type === "name" && "name" in node && node.name === name,
  );
}

/** Whether a name is assigned to anywhere in a part of the syntax tree. */
export function stores(part: unknown, name: string): boolean {
  return search(part, (node) => "target" in node && mentions(node.target, name));
}
