/** Where the time goes: steps profiled kernel by kernel. @module */

export type { Cost } from "./cost.ts";
export * from "./profile.ts";
export type { Roofline } from "./roofline.ts";
export * from "./show.ts";
