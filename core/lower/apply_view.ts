/** Views of views: what each view node makes of the arrangement of its input. @module */

import type { Node } from "../graph.ts";
import { reshapeView, type View } from "../view.ts";

/** The view behind a view node of its input's view; null if no strides can express it. */
export function applyView(node: Node, view: View): View | null {
  const { operation, shape } = node;
  switch (operation.name) {
    case "reshape":
      return reshapeView(view, shape);
    case "expand":
      return {
        ...view,
        shape,
        strides: view.strides.map((stride, d) => view.shape[d] === shape[d] ? stride : 0),
        // An axis of size 1 has no mask: see `tidyMasks`.
      };
    case "permute": {
      const pick = <T>(list: readonly T[]) => operation.order.map((axis) => list[axis]!);
      return { shape, strides: pick(view.strides), offset: view.offset, masks: pick(view.masks) };
    }
    case "slice":
      return {
        shape,
        strides: view.strides,
        offset: view.offset + dot(operation.starts, view.strides),
        masks: view.masks.map((mask, d) =>
          mask && [mask[0] - operation.starts[d]!, mask[1] - operation.starts[d]!] as const
        ),
      };
    case "flip": {
      const flipped = new Set(operation.axes);
      const last = view.shape.map((n, d) => flipped.has(d) ? n - 1 : 0);
      return {
        shape,
        strides: view.strides.map((stride, d) => flipped.has(d) ? -stride : stride),
        offset: view.offset + dot(last, view.strides),
        masks: view.masks.map((mask, d) =>
          mask && flipped.has(d) ? [shape[d]! - mask[1], shape[d]! - mask[0]] as const : mask
        ),
      };
    }
    case "pad":
      return {
        shape,
        strides: view.strides,
        offset: view.offset - dot(operation.low, view.strides),
        masks: view.shape.map((n, d) => {
          const low = operation.low[d]!;
          if (low === 0 && n === shape[d]) return view.masks[d]!;
          const [from, to] = view.masks[d] ?? [0, n];
          return [low + Math.max(from, 0), low + Math.min(to, n)] as const;
        }),
      };
    default:
      return null;
  }
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, n, i) => sum + n * b[i]!, 0);
}
