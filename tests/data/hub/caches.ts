/** Caches of tests' own. @module */

import { type HubSettings, hubSettings } from "../../../data/hub/settings.ts";

/** Settings with an empty cache that ends with its user. */
export function cacheOf(
  endpoint: string,
  more: Partial<HubSettings> = {},
): HubSettings & Disposable {
  const home = Deno.makeTempDirSync({ prefix: "plumb-hub-" });
  return {
    ...hubSettings((name) => ({ HF_HOME: home, HF_ENDPOINT: endpoint })[name]),
    ...more,
    [Symbol.dispose]: () => Deno.removeSync(home, { recursive: true }),
  };
}
