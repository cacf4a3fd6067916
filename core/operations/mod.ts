/** The kernels made by hand, by name. A new one has its record in a file of its own, and a line here. @module */

import { attention, attentionGrad } from "./attention.ts";
import { matmul } from "./matmul.ts";
import type { KernelRecord } from "./record.ts";
import { scatter } from "./rows.ts";

/** All records. */
export const records = { attention, attentionGrad, matmul, scatter } as const;

/** The records by the names of their kernels. */
export type Records = typeof records;

/** A kernel made by hand. */
export type HandMadeKernel = {
  [Op in keyof Records]: Records[Op] extends KernelRecord<infer K, infer _> ? K : never;
}[keyof Records];

/** The numbers of a kernel's launches, by name. */
export type SizesOf<K extends HandMadeKernel> = Records[K["op"]] extends KernelRecord<K, infer Z>
  ? Z
  : never;
