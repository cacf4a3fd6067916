/** The kernels made by hand, by name. A new one has its record in a file of its own, and its lines here. @module */

import {
  attention,
  attentionGrad,
  type AttentionGradKernel,
  type AttentionKernel,
  type AttentionSizes,
} from "./attention.ts";
import { matmul, type MatmulKernel, type MatmulSizes } from "./matmul.ts";
import type { KernelRecord } from "./record.ts";
import { scatter, type ScatterKernel, type ScatterSizes } from "./rows.ts";

/** The records by the names of their kernels. */
export interface Records {
  /** Attention over flat token streams. */
  readonly attention: KernelRecord<AttentionKernel, AttentionSizes>;
  /** Its gradient. */
  readonly attentionGrad: KernelRecord<AttentionGradKernel, AttentionSizes>;
  /** The matrix product. */
  readonly matmul: KernelRecord<MatmulKernel, MatmulSizes>;
  /** Rows put or added into a table. */
  readonly scatter: KernelRecord<ScatterKernel, ScatterSizes>;
}

/** All records. */
export const records: Records = { attention, attentionGrad, matmul, scatter };

/** A kernel made by hand. */
export type HandMadeKernel = {
  [Op in keyof Records]: Records[Op] extends KernelRecord<infer K, infer _> ? K : never;
}[keyof Records];

/** The numbers of a kernel's launches, by name. */
export type SizesOf<K extends HandMadeKernel> = Records[K["op"]] extends KernelRecord<K, infer Z>
  ? Z
  : never;
