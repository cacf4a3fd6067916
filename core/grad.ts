/**
 * Reverse-mode differentiation as a graph-to-graph transformation.
 *
 * @module
 */

import { type Node, topologicalOrder } from "./graph.ts";
import { barrier } from "./operations/barrier.ts";
import * as p from "./primitives.ts";
import { showShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { leavesOf, mapTree, replaceLeaves } from "./tree.ts";
import { addCotangents, inputCotangents, unitCotangent } from "./vjp.ts";

/** Tensors with a gradient in a tree: float ones. */
function variablesOf(tree: unknown): Tensor[] {
  return leavesOf(tree).flatMap(([, leaf]) =>
    leaf instanceof Tensor && p.differentiable(leaf.node) ? [leaf] : []
  );
}

/** The tree with its float tensors replaced by fresh variables, and these. */
function withVariables<T>(tree: T): { tree: T; variables: Tensor[] } {
  const variables: Tensor[] = [];
  const fresh = mapTree(tree, (leaf) => {
    if (!(leaf instanceof Tensor) || !p.differentiable(leaf.node)) return leaf;
    const variable = new Tensor(p.alias(leaf.node, "variable"));
    variables.push(variable);
    return variable;
  });
  return { tree: fresh as T, variables };
}

/** Cotangents of the variables from those of the outputs; zeros where nothing flows. */
function pullBack(
  outputs: readonly Node[],
  cotangents: readonly (Node | null)[],
  variables: readonly Node[],
): Node[] {
  const order = topologicalOrder(outputs);
  const active = new Set<Node>(variables);
  for (const node of order) {
    if (node.operation.name === "stopGradient") continue;
    if (p.differentiable(node) && node.inputs.some((input) => active.has(input))) active.add(node);
  }
  const gradients = new Map<Node, (Node | null)[]>();
  const give = (node: Node, index: number, cotangent: Node) => {
    let slots = gradients.get(node);
    if (!slots) gradients.set(node, slots = []);
    slots[index] = addCotangents(slots[index] ?? null, cotangent);
  };
  outputs.forEach((output, i) => {
    const cotangent = cotangents[i];
    if (cotangent) give(output, 0, cotangent);
  });
  const stops = new Set<Node>(variables);
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    const slots = gradients.get(node);
    if (!slots || stops.has(node) || !active.has(node)) continue;
    if (node.operation.name === "part") {
      give(node.inputs[0]!, node.operation.index, slots[0]!);
      continue;
    }
    const found = inputCotangents(node, Array.from(slots, (slot) => slot ?? null));
    node.inputs.forEach((input, k) => {
      const cotangent = found[k];
      if (cotangent && active.has(input)) give(input, 0, cotangent);
    });
  }
  return variables.map((v) => gradients.get(v)?.[0] ?? p.full(0, v.shape, "f32"));
}

/** A function with auxiliary results beside the number to differentiate. */
export type LossWithAux<P, R extends readonly unknown[], A> = (
  params: P,
  ...rest: R
) => [Tensor, A];

function checkLoss(loss: unknown): Tensor {
  if (!(loss instanceof Tensor) || loss.size !== 1 || !p.differentiable(loss.node)) {
    const got = loss instanceof Tensor ? `${loss.dtype}${showShape(loss.shape)}` : typeof loss;
    throw new TypeError(`Cannot differentiate: the function gave ${got}, not a single f32 number`);
  }
  return loss;
}

/**
 * The function's value and its gradient with respect to the float tensors of its first argument, a
 * tree. The gradient has the structure of that tree; leaves that are not float tensors become null.
 *
 * @example
 * ```ts
 * import { openDevice, tensor, valueAndGrad } from "@plumb/plumb/core";
 *
 * await openDevice("cpu");
 * const [value, gradient] = valueAndGrad((x: ReturnType<typeof tensor>) => x.square().sum())(tensor([1, 2]));
 * console.log(await value.item(), await gradient.data()); // 5, [2, 4]
 * ```
 */
export function valueAndGrad<P, R extends readonly unknown[]>(
  f: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => [value: Tensor, gradient: P] {
  const withAux = valueAndGradWithAux<P, R, null>((params, ...rest) => [f(params, ...rest), null]);
  return (params, ...rest) => {
    const [[value], gradient] = withAux(params, ...rest);
    return [value, gradient];
  };
}

/** Like {@link valueAndGrad}, for a function that returns `[loss, auxiliary results]`. */
export function valueAndGradWithAux<P, R extends readonly unknown[], A>(
  f: LossWithAux<P, R, A>,
): (params: P, ...rest: R) => [value: [Tensor, A], gradient: P] {
  return (params, ...rest) => {
    const { tree, variables } = withVariables(params);
    const [loss, aux] = f(tree, ...rest);
    const found = pullBack(
      [checkLoss(loss).node],
      [unitCotangent(loss).node],
      variables.map((v) => v.node),
    );
    let next = 0;
    const gradient = mapTree(
      params,
      (leaf) =>
        leaf instanceof Tensor && p.differentiable(leaf.node) ? new Tensor(found[next++]!) : null,
    );
    return [[loss, aux], gradient as P];
  };
}

/** The gradient alone; see {@link valueAndGrad}. */
export function grad<P, R extends readonly unknown[]>(
  f: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => P {
  const both = valueAndGrad(f);
  return (params, ...rest) => both(params, ...rest)[1];
}

/**
 * The function's outputs (a tree) and a function from cotangents of these (a tree of the same structure)
 * to cotangents of the inputs.
 */
export function vjp<P, Y>(
  f: (inputs: P) => Y,
  inputs: P,
): [outputs: Y, pull: (cotangents: Y) => P] {
  const { tree, variables } = withVariables(inputs);
  const outputs = f(tree);
  const ys = leavesOf(outputs).map(([, leaf]) => (leaf as Tensor).node);
  const pending = ys.map((y) => y.storage === null);
  const pull = (cotangents: Y) => {
    if (ys.some((y, i) => pending[i] && y.storage !== null)) {
      throw new Error(
        "The outputs of vjp were computed already, and with that the way they were computed was let go: pull " +
          "cotangents back first, then compute both",
      );
    }
    const gs = leavesOf(cotangents).map(([, leaf]) => (leaf as Tensor).node);
    const found = pullBack(ys, gs, variables.map((v) => v.node));
    let next = 0;
    return mapTree(
      inputs,
      (leaf) =>
        leaf instanceof Tensor && p.differentiable(leaf.node) ? new Tensor(found[next++]!) : null,
    ) as P;
  };
  return [outputs, pull];
}

/** The same value, a constant to differentiation. */
export function stopGradient(x: Tensor): Tensor {
  return new Tensor(p.alias(x.node, "stopGradient"));
}

/**
 * A function with a gradient rule of its own.
 *
 * @param f From a tree of tensors to a tree of tensors.
 * @param rule From the inputs, the outputs and the cotangents of the outputs (zeros where nothing flows)
 *   to the cotangents of the inputs' float tensors, in order; null is zero.
 */
export function customVjp<P, Y>(
  f: (inputs: P) => Y,
  rule: (inputs: P, outputs: Y, cotangents: Y) => readonly (Tensor | null)[],
): (inputs: P) => Y {
  return (inputs) => {
    const raw = f(
      mapTree(inputs, (leaf) => leaf instanceof Tensor ? stopGradient(leaf) : leaf) as P,
    );
    const outputs = leavesOf(raw).map(([, leaf]) => (leaf as Tensor).node);
    const variables = variablesOf(inputs).map((t) => t.node);
    const parts = p.custom(outputs, variables, (cotangents) => {
      const dense = outputs.map((y, i) => new Tensor(cotangents[i] ?? p.full(0, y.shape, "f32")));
      // The rule gets the outputs with their own rule, so that it can be differentiated in turn.
      return rule(inputs, wrapped, replaceLeaves(raw, dense)).map((t) => t?.node ?? null);
    });
    const wrapped = replaceLeaves(raw, parts.map((node) => new Tensor(node)));
    return wrapped;
  };
}

/**
 * The same function, whose intermediate values are not kept for the backward pass but computed again.
 * What is to be recomputed must depend on the inputs; captured tensors get no gradient through it.
 *
 * The recomputed graph looks like the original; it stands behind a barrier that waits for the incoming
 * cotangent, so that the two are neither merged nor scheduled together.
 */
export function checkpoint<P, Y>(f: (inputs: P) => Y): (inputs: P) => Y {
  return customVjp(f, (inputs, _outputs, cotangents) => {
    const tokens = leavesOf(cotangents).map(([, leaf]) => (leaf as Tensor).node);
    const held = mapTree(
      inputs,
      (leaf) => leaf instanceof Tensor ? new Tensor(barrier(leaf.node, tokens)) : leaf,
    ) as P;
    const [, pull] = vjp(f, held);
    return variablesOf(pull(cotangents));
  });
}
