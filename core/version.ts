/** plumb's version: that of deno.json. */
export const version = "0.1.0";
