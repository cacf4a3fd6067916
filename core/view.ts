/** Views: which stored element each position of a tensor is. @module */

import { contiguousStrides, type Shape } from "./shape.ts";

/**
 * Element `offset + Σ i[d]·strides[d]` of a contiguous base, or 0 where a masked coordinate lies outside
 * [low, high).
 */
export interface View {
  /** Sizes of the axes. */
  readonly shape: Shape;
  /** Elements of the base from one position along an axis to the next. */
  readonly strides: readonly number[];
  /** Element of the base at position 0. */
  readonly offset: number;
  /** Per axis, where elements are not 0; null for everywhere. */
  readonly masks: readonly (readonly [low: number, high: number] | null)[];
}

/** The view of a whole contiguous tensor. */
export function wholeView(shape: Shape): View {
  return { shape, strides: contiguousStrides(shape), offset: 0, masks: shape.map(() => null) };
}

/** Whether the view is all elements of its base in order. */
export function isContiguous(view: View): boolean {
  const strides = contiguousStrides(view.shape);
  return view.offset === 0 && view.masks.every((mask) => mask === null) &&
    view.shape.every((n, d) => n === 1 || view.strides[d] === strides[d]);
}

/** The view without masks that hide nothing; null if its masks hide everything. */
export function tidyMasks(view: View): View | null {
  const hides = view.masks.some((mask, d) =>
    mask && Math.max(mask[0], 0) >= Math.min(mask[1], view.shape[d]!)
  );
  if (hides) return null;
  const idle = (mask: readonly [number, number], n: number) => mask[0] <= 0 && mask[1] >= n;
  return {
    ...view,
    masks: view.masks.map((mask, d) => mask && idle(mask, view.shape[d]!) ? null : mask),
  };
}

/** The same elements in another shape, if axes can be split and merged without moving data. */
export function reshapeView(view: View, shape: Shape): View | null {
  if (shape.includes(0)) return wholeView(shape);
  // Axes of size 1 carry no stride and no mask.
  const old: { size: number; stride: number; mask: View["masks"][number] }[] = [];
  for (let d = 0; d < view.shape.length; d++) {
    if (view.shape[d] === 1) continue;
    old.push({ size: view.shape[d]!, stride: view.strides[d]!, mask: view.masks[d]! });
  }
  const strides = new Array<number>(shape.length).fill(0);
  const masks = new Array<View["masks"][number]>(shape.length).fill(null);
  let o = 0;
  let d = 0;
  while (o < old.length || d < shape.length) {
    if (d < shape.length && shape[d] === 1) {
      d++;
      continue;
    }
    if (o >= old.length || d >= shape.length) return null;
    const [firstOld, firstNew] = [o, d];
    let have = old[o++]!.size;
    let want = shape[d++]!;
    while (have !== want) {
      if (have < want) {
        if (o >= old.length) return null;
        have *= old[o++]!.size;
      } else {
        if (d >= shape.length) return null;
        want *= shape[d++]!;
      }
    }
    // old[firstOld … o) covers shape[firstNew … d): the old axes must be one run.
    const plain = o - firstOld === 1 && d - firstNew === 1;
    for (let i = firstOld; i < o; i++) {
      if (!plain && old[i]!.mask) return null;
      if (i + 1 < o && old[i]!.stride !== old[i + 1]!.stride * old[i + 1]!.size) return null;
    }
    if (plain) masks[firstNew] = old[firstOld]!.mask;
    for (let i = d - 1, stride = old[o - 1]!.stride; i >= firstNew; i--) {
      strides[i] = stride;
      stride *= shape[i]!;
    }
  }
  return { shape, strides, offset: view.offset, masks };
}
