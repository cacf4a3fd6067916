import assert from "node:assert/strict";
import { compileTemplate } from "../../../data/jinja/render.ts";
import { TemplateError } from "../../../data/jinja/errors.ts";

type Golden = readonly [template: string, text: string | null];

function render(template: string): string | null {
  try {
    return compileTemplate(template).render({ inf: Infinity, nan: NaN }).text;
  } catch (error) {
    if (error instanceof TemplateError) return null;
    throw error;
  }
}

/** Pairs of a template and what it renders. */
function goldens(name: string): Golden[] {
  const file = new URL(`../../fixtures/jinja/${name}.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(file));
}

Deno.test("small templates render as jinja2 renders them, or are refused as it refuses them", () => {
  const differing = goldens("goldens").map(([template, text]) => [template, text, render(template)])
    .filter(([, text, ours]) => text !== ours);
  assert.deepEqual(differing, []);
});

Deno.test("every filter, test, method and operator is jinja2's, over values of all types", () => {
  const differing = goldens("expressions")
    .map(([expression, text]) => [expression, text, render(`{{ ${expression} }}`)])
    .filter(([, text, ours]) => text !== ours);
  assert.deepEqual(differing, []);
});

Deno.test("a huge repetition is refused before it is made, with the limit named", () => {
  for (const template of ["{{ 'x' * 10**9 }}", "{{ 10**9 * [1] }}"]) {
    assert.throws(() => compileTemplate(template).render({}), /more than 50000000/);
  }
});
