/** When tensors are computed and when their memory goes. @module */

import { realizeNodes } from "./execute.ts";
import { collecting } from "./storage.ts";
import { Tensor } from "./tensor.ts";
import { leavesOf } from "./tree.ts";

function tensorsIn(tree: unknown): Tensor[] {
  return leavesOf(tree).flatMap(([, leaf]) => leaf instanceof Tensor ? [leaf] : []);
}

/** Computes every tensor of a tree, together, and returns the tree. */
export async function realize<T>(tree: T): Promise<T> {
  await realizeNodes(tensorsIn(tree).map(({ node }) => node));
  return tree;
}

/**
 * Runs `f` and then frees the memory of every tensor made meanwhile, but for those in its result (a
 * tree). Scopes nest; what survives belongs to the scope around. Several may run at once.
 */
export async function scope<T>(f: () => T | Promise<T>): Promise<T> {
  return await collecting(async (keep) => {
    const result = await f();
    await realize(result);
    for (const { node } of tensorsIn(result)) if (node.storage) keep(node.storage);
    return result;
  });
}
