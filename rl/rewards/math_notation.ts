/** The many ways to write the same formula, brought to one. @module */

const replacements: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/[−–]/g, "-"],
  [/[×·]/g, "\\times "],
  [/÷/g, "\\div "],
  [/π|(?<![a-zA-Z\\])pi(?![a-zA-Z])/g, "\\pi "],
  [/∞/g, "\\infty "],
  [/√|(?<![a-zA-Z\\])sqrt(?![a-zA-Z])/g, "\\sqrt "],
  [/≤|<=/g, "\\le "],
  [/≥|>=/g, "\\ge "],
  [/≠/g, "\\ne "],
  [/∪/g, "\\cup "],
  [/\\dots|\\ldots/g, "..."],
  [/\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])/g, ""],
  [/\\l?r?vert(?![a-zA-Z])/g, "|"],
  [/\\!|\\(?:displaystyle|textstyle|limits)(?![a-zA-Z])/g, ""],
  [/(?<=\d)\s*\{\s*,\s*\}\s*(?=\d{3})/g, ""], // 14{,}916
  [/\\[,;: ]|\\q?quad(?![a-zA-Z])|~/g, " "],
  [/\\[dtc]frac(?![a-zA-Z])/g, "\\frac"],
  [/\^\s*(?:\\circ|\{\s*\\circ\s*\})|°|\\degree(?![a-zA-Z])/g, ""],
  [/\\(?:mathrm|mathbf|mathit|textbf|textit|textrm|mbox|operatorname)\s*\{/g, "\\text{"],
  [/\\text\{\s*([A-Z]|\([A-Z]\))\s*\}/g, "$1"], // choices
  [/\\text\{\s*(?:and|or)\s*\}|(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])/g, ","],
  [/,(?:\s*,)+/g, ","],
  [/\\?[$€£¥₹]|\\[()\[\]]/g, ""],
  [/\\([%#&])/g, "$1"],
  [/^\s*\*\*(.*)\*\*\s*$/s, "$1"], // bold in Markdown
  [/\*\*/g, "^"],
];

/** Removes layout and writes commands of one meaning as one. */
export function tidyLatex(text: string): string {
  return replacements.reduce((tidy, [pattern, by]) => tidy.replace(pattern, by), text)
    .replace(/^[\s,;:]+|[\s.,;:]+$/g, "");
}

const unit = [
  "(?:mm|cm|dm|km|kg|mg|ml|mL|ft|in|yd|mi|lb|oz|hr|min|sec|mph)(?![a-zA-Z])",
  "(?<![a-zA-Z\\d}])[a-zA-Z]{4,}(?![a-zA-Z])\\.?", // shorter words may be products
  "\\\\text\\{[^{}]*\\}",
].join("|");
const power = "(?:\\s*\\^\\s*(?:\\d|\\{\\d\\})|[²³])?";
const units = new RegExp(`(?<=[\\d})i])(?:\\s*(?:per\\s+|/\\s*)?(?:${unit})${power})+\\s*$`);
const percentSign = /\s*(?:%|percent(?:age)?|pct|\\text\{\s*percent\s*\})$/i;

/** Takes percent sign and units off an item and joins what belongs to one number. */
export function tidyItem(source: string): { readonly text: string; readonly percent: boolean } {
  const trimmed = source.trim();
  const percent = percentSign.test(trimmed);
  const text = trimmed.replace(percentSign, "").replace(units, "").trim();
  const isList = /[(\[]|\\\{/.test(text);
  return { text: isList ? text : joinNumbers(text), percent };
}

/** 1,000 and 1 000 to 1000, 4 4/9 to (4+4/9), 0.1\overline{6} to (0.1+6/90). */
function joinNumbers(text: string): string {
  return text
    .replace(
      /(\d*)\.(\d*)\\overline\s*\{(\d+)\}/g,
      (_, whole: string, fixed: string, period: string) =>
        `(${whole || "0"}.${fixed}+${period}/${"9".repeat(period.length)}${
          "0".repeat(fixed.length)
        })`,
    )
    .replace(/(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])/g, (digits) => digits.replaceAll(",", ""))
    .replace(/(?<![\d.])[1-9]\d{0,2}(?: \d{3})+(?![\d/])/g, (digits) => digits.replaceAll(" ", ""))
    .replace(
      /(?<![\d./] ?)(\d+) +(\d+)\/(\d+)(?! ?[\d.])/g,
      (mixed, whole: string, numerator: string, denominator: string) =>
        Number(numerator) < Number(denominator) ? `(${whole}+${numerator}/${denominator})` : mixed,
    );
}

/** Splits a text where the pattern, which begins with ^, matches outside of all brackets. */
export function splitOutside(text: string, separator: RegExp): readonly string[] {
  const parts: string[] = [];
  let [depth, from] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const found = depth === 0 ? separator.exec(text.slice(at))?.[0] : undefined;
    if (found !== undefined && found !== "") {
      parts.push(text.slice(from, at).trim());
      at += found.length - 1;
      from = at + 1;
    } else if ("([{".includes(text[at]!)) depth++;
    else if (")]}".includes(text[at]!)) depth--;
  }
  return [...parts, text.slice(from).trim()];
}
