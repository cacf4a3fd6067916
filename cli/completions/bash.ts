/** Completions for bash. @module */

import type { DescribedCommand } from "./described.ts";

/** A script for bash: `source <(plumb completions bash)`. */
export function bashCompletions(commands: readonly DescribedCommand[]): string {
  const flags = commands.map(({ name, options }) =>
    `    ${name}) flags='${options.map(({ flag }) => flag).join(" ")}' ;;`
  );
  return `# Completions of plumb for bash.
_plumb() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]//_/-}
  local flags= values=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(" ")}' -- "$word"))
    return
  fi
  case $command in
${flags.join("\n")}
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    return
  fi
  case "$command $before" in
${valueCases(commands).join("\n")}
  esac
  [[ $values ]] && COMPREPLY=($(compgen -W "$values" -- "$word"))
}
complete -o default -F _plumb plumb
`;
}

/** A case for each option with values; commands whose option has the same ones share it. */
function valueCases(commands: readonly DescribedCommand[]): string[] {
  const uses = commands.flatMap(({ name, options }) =>
    options.filter(({ values }) => values.length > 0)
      .map(({ flag, values }) => ({ use: `'${name} ${flag}'`, values: values.join(" ") }))
  );
  return [...Map.groupBy(uses, ({ values }) => values)].map(([values, same]) =>
    `    ${same.map(({ use }) => use).join(" | ")}) values='${values}' ;;`
  );
}
