/** Trees of parameters before there are any: their names, sizes and beginnings. @module */

import { leavesOf, type Path, type Shape, UserError } from "../core/mod.ts";

/** How a fresh parameter begins: ones, zeros, or normal with so many times the config's `initializer_range`. */
export type ParameterInit = "ones" | "zeros" | { readonly normal: number };

/** Four TiB in f32. */
const mostElements = 2 ** 40;

/** A parameter that is to be. */
export class ParameterShape {
  /** How it begins. */
  readonly init: ParameterInit;
  /** Whether files hold the transpose of this matrix, as they do for GPT-2's `Conv1D`. */
  readonly transposed: boolean;

  /**
   * Normal numbers in the order of the files by default.
   *
   * @throws UserError for sizes that no machine holds.
   */
  constructor(
    /** Its sizes. */
    readonly shape: Shape,
    options: { readonly init?: ParameterInit; readonly transposed?: boolean } = {},
  ) {
    if (!(shape.reduce((product, size) => product * size, 1) <= mostElements)) {
      throw new UserError(
        `The config calls for a parameter of shape [${
          shape.join(", ")
        }], which is more than any model has. One of ` +
          "its sizes is wrong.",
      );
    }
    this.init = options.init ?? { normal: 1 };
    this.transposed = options.transposed ?? false;
  }

  /** Its sizes in files. */
  get storedShape(): Shape {
    return this.transposed ? this.shape.toReversed() : this.shape;
  }
}

/** A tree with {@link ParameterShape}s as leaves. */
export type ParameterShapes = unknown;

/** Options of {@link linearShapes}. */
export interface LinearShapeOptions {
  /** Whether it has a bias; by default not. */
  readonly bias?: boolean;
  /** Times the usual standard deviation; 1 by default. */
  readonly deviation?: number;
  /** Whether files hold the matrix as [in, out]. */
  readonly transposed?: boolean;
}

/** Parameters of a layer: a weight, and perhaps a bias. */
export interface LayerShapes {
  /** What it multiplies with, or looks up. */
  readonly weight: ParameterShape;
  /** What it adds. */
  readonly bias?: ParameterShape;
}

/** A linear layer [out, in]. */
export function linearShapes(
  outputs: number,
  inputs: number,
  { bias = false, deviation = 1, transposed = false }: LinearShapeOptions = {},
): LayerShapes {
  const weight = new ParameterShape([outputs, inputs], { init: { normal: deviation }, transposed });
  return bias ? { weight, bias: new ParameterShape([outputs], { init: "zeros" }) } : { weight };
}

/** A table of rows [count, width]. */
export function embeddingShapes(count: number, width: number): LayerShapes {
  return { weight: new ParameterShape([count, width]) };
}

/** A gain, with a bias if it is of layer normalisation. Gains on top of one (`fromOne`) begin at zero. */
export function normShapes(
  width: number,
  options: { readonly bias?: boolean; readonly fromOne?: boolean } = {},
): LayerShapes {
  const weight = new ParameterShape([width], { init: options.fromOne ? "zeros" : "ones" });
  return options.bias
    ? { weight, bias: new ParameterShape([width], { init: "zeros" }) }
    : { weight };
}

/** The parameters of a tree with their paths. */
export function shapesOf(shapes: ParameterShapes): [Path, ParameterShape][] {
  return leavesOf(shapes) as [Path, ParameterShape][];
}

/** Paths of the matrices that files hold transposed. */
export function transposedIn(shapes: ParameterShapes): ReadonlySet<Path> {
  return new Set(shapesOf(shapes).flatMap(([path, { transposed }]) => transposed ? [path] : []));
}
