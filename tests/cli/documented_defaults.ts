/** Defaults that are documented to differ from TRL's, in every command. */
export const documentedDefaults: Readonly<Record<string, unknown>> = {
  // TrainingArguments puts this name in place of None.
  output_dir: "trainer_output",
  // A list here, so that it has one type.
  report_to: ["none"],
  // TRL's is a list of PyTorch diagnoses; here it shows stack traces.
  debug: false,
};
