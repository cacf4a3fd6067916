/** Completions for zsh. @module */

import type { DescribedCommand, DescribedOption } from "./described.ts";

/** A script for zsh: `source <(plumb completions zsh)`, behind `compinit`. */
export function zshCompletions(commands: readonly DescribedCommand[]): string {
  const names = commands.map(({ name, summary }) => `    ${item(name, summary)}`);
  const cases = commands.map(({ name, options }) =>
    [`    ${name})`, "      _arguments \\", `${options.map(specification).join(" \\\n")} ;;`].join(
      "\n",
    )
  );
  return `#compdef plumb
# Completions of plumb for zsh.
_plumb() {
  local -a commands=(
${names.join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=\${words[2]//_/-}
  shift words
  ((CURRENT -= 1))
  case $command in
${cases.join("\n")}
  esac
}
compdef _plumb plumb
`;
}

/** `_arguments`' form of an option: what it takes stands behind colons, two of them where it may be left out. */
function specification({ flag, help, takes, values }: DescribedOption): string {
  const offered = values.length > 0 ? `(${values.join(" ")})` : "_files";
  const taken = takes === "nothing" ? "" : `${takes === "maybe" ? "::" : ":"}value:${offered}`;
  return `        '*${flag}[${escaped(help).replaceAll(/[[\]]/g, "\\$&")}]${taken}'`;
}

function item(name: string, description: string): string {
  return `'${name}:${escaped(description)}'`;
}

/** A text between single quotes, with the colons that separate fields escaped. */
function escaped(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(":", "\\:");
}
