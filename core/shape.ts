/** Shapes and how they combine. @module */

/** Sizes of a tensor's axes, outermost first. `[]` is a single number. */
export type Shape = readonly number[];

/** Number of elements: the product of the sizes. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const n of shape) size *= n;
  return size;
}

/** Whether two shapes are the same, axis by axis. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  for (let i = shape.length - 1, step = 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

/** `[2, 3]`: a shape in an error message. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/**
 * The shape two operands broadcast to: axes are aligned at the end, and an axis of size 1 stretches.
 *
 * @throws RangeError if two aligned sizes differ and neither is 1.
 */
export function broadcastShapes(a: Shape, b: Shape, what: string): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const m = a[i - rank + a.length] ?? 1;
    const n = b[i - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new RangeError(
        `Cannot ${what}: shapes do not broadcast: ${showShape(a)} and ${showShape(b)}`,
      );
    }
    return m === 1 ? n : m;
  });
}

/**
 * An axis counted from the start; negative ones count from the end.
 *
 * @throws RangeError if there is no such axis.
 */
export function normalizeAxis(axis: number, shape: Shape, what: string): number {
  const index = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(axis) || index < 0 || index >= shape.length) {
    throw new RangeError(`Cannot ${what}: no axis ${axis} in shape ${showShape(shape)}`);
  }
  return index;
}

/**
 * Completes a shape in which one size may be −1.
 *
 * @throws RangeError if the sizes do not multiply to `size`.
 */
export function inferShape(shape: Shape, size: number, from: Shape): Shape {
  const unknown = shape.indexOf(-1);
  const rest = sizeOf(shape.filter((_, i) => i !== unknown));
  const full = unknown < 0 ? shape : shape.map((n, i) => i === unknown ? size / rest : n);
  if (sizeOf(full) !== size || !full.every((n) => Number.isInteger(n) && n >= 0)) {
    throw new RangeError(
      `Cannot reshape: ${showShape(from)} has ${size} elements, which do not fit ${
        showShape(shape)
      }`,
    );
  }
  return full;
}
