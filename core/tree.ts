/**
 * Trees: plain objects and arrays, nested, with leaves. Model parameters, gradients, optimiser state and
 * batches are trees; freezing, LoRA and "save only the adapter" are `partition` and `combine`.
 *
 * @module
 */

/** A leaf, or arrays and plain objects of trees. `null` and `undefined` stand for nothing. */
export type Tree<T> = T | null | undefined | readonly Tree<T>[] | {
  readonly [key: string]: Tree<T>;
};

/** A leaf's place: keys and indices joined by dots, as in `model.layers.0.mlp.up_proj.weight`. */
export type Path = string;

/** Whether a value is an inner node: an array or a plain object. */
export function isBranch(value: unknown): value is Record<string, unknown> | unknown[] {
  if (Array.isArray(value)) return true;
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * The tree with `f` applied to every leaf; the structure is kept, `null` and `undefined` stay.
 *
 * @param f Receives the leaf and its path.
 */
export function mapTree<R>(
  tree: unknown,
  f: (leaf: unknown, path: Path) => R,
  path: Path = "",
): unknown {
  if (tree === null || tree === undefined) return tree;
  const below = (key: string) => path === "" ? key : `${path}.${key}`;
  if (Array.isArray(tree)) return tree.map((value, i) => mapTree(value, f, below(String(i))));
  if (isBranch(tree)) {
    return Object.fromEntries(
      Object.entries(tree).map(([key, value]) => [key, mapTree(value, f, below(key))]),
    );
  }
  return f(tree, path);
}

/**
 * Visits the leaves in the order of keys, without their paths: for what happens at every step.
 *
 * @param mark Receives the structure between them: brackets, keys, and what stands for nothing.
 */
export function eachLeaf(
  tree: unknown,
  visit: (leaf: unknown) => void,
  mark: (structure: string) => void = () => {},
): void {
  if (tree === null || tree === undefined) mark(tree === null ? "0" : "_");
  else if (Array.isArray(tree)) {
    mark("[");
    for (const value of tree) eachLeaf(value, visit, mark);
    mark("]");
  } else if (isBranch(tree)) {
    mark("{");
    for (const key of Object.keys(tree)) {
      mark(`${key.length}:${key}`);
      eachLeaf((tree as Record<string, unknown>)[key], visit, mark);
    }
    mark("}");
  } else visit(tree);
}

/** The leaves with their paths, in the order of keys. */
export function leavesOf(tree: unknown): [Path, unknown][] {
  const leaves: [Path, unknown][] = [];
  mapTree(tree, (leaf, path) => leaves.push([path, leaf]));
  return leaves;
}

/**
 * Splits a tree by a predicate into two of the same structure, with `null` where the other has the leaf.
 */
export function partition<T>(
  tree: T,
  predicate: (path: Path, leaf: unknown) => boolean,
): [chosen: T, rest: T] {
  return [
    mapTree(tree, (leaf, path) => predicate(path, leaf) ? leaf : null) as T,
    mapTree(tree, (leaf, path) => predicate(path, leaf) ? null : leaf) as T,
  ];
}

/**
 * The inverse of {@link partition}: the first tree's leaves, and the second's where the first has none.
 *
 * @throws Error if the structures differ.
 */
export function combine<T>(first: T, second: T): T {
  if (first === null || first === undefined) return second;
  if (second === null || second === undefined) return first;
  if (!isBranch(first) || !isBranch(second)) return first;
  if (Array.isArray(first)) {
    if (!Array.isArray(second) || second.length !== first.length) {
      throw new Error("Cannot combine trees: their structures differ");
    }
    return first.map((value, i) => combine(value, second[i])) as T;
  }
  const a = first as Record<string, unknown>;
  const b = second as Record<string, unknown>;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...keys].map((key) => [key, combine(a[key], b[key])])) as T;
}

/** The tree with new leaves, given in the order of {@link leavesOf}. */
export function replaceLeaves<T>(tree: T, leaves: readonly unknown[]): T {
  let next = 0;
  return mapTree(tree, () => leaves[next++]) as T;
}

/**
 * Leaf-by-leaf combination of trees of one structure.
 *
 * @throws Error if the numbers of leaves differ.
 */
export function zipTrees<T>(
  f: (...leaves: never[]) => unknown,
  first: T,
  ...others: readonly unknown[]
): T {
  const lists = others.map((tree) => leavesOf(tree));
  const count = leavesOf(first).length;
  for (const list of lists) {
    if (list.length !== count) {
      throw new Error(`Cannot zip trees: one has ${count} leaves, another ${list.length}`);
    }
  }
  let next = 0;
  return mapTree(first, (leaf) => {
    const i = next++;
    return f(...[leaf, ...lists.map((list) => list[i]![1])] as never[]);
  }) as T;
}
