import assert from "node:assert/strict";
import { mapLogits, realize, type Tensor, tensor, valueAndGrad } from "../../core/mod.ts";
import { generalizedJsd, gkd, lossOf } from "../../rl/mod.ts";
import { numberOption, onCpu, present, readCases, testCases, windowOfTokens } from "./cases.ts";
import { assertClose } from "../core/compare.ts";

testCases({
  file: "gkd",
  variant: (c) => `${numberOption(c, "beta")}`,
  objective: ({ get }, c) => {
    const [student, teacher] = [get("student_logits"), get("teacher_logits")];
    const vocabulary = student.shape.at(-1)!;
    const divergences = generalizedJsd(
      student.reshape(-1, vocabulary),
      teacher.reshape(-1, vocabulary),
      present({ beta: numberOption(c, "beta"), temperature: numberOption(c, "temperature") }),
    );
    const mask = get("labels").reshape(-1).ge(0).cast("f32");
    return gkd({ divergences, mask });
  },
  window: windowOfTokens,
});

onCpu("generalizedJsd() in chunks of an output head gives the same loss and gradient", async () => {
  const [c] = readCases("gkd");
  const rows = (name: string) => tensor(c!.inputs[name]!).reshape(10, 7);
  const [student, teacher] = [rows("student_logits"), rows("teacher_logits")];
  const eye = tensor(
    Array.from({ length: 7 }, (_, i) => Array.from({ length: 7 }, (_, j) => +(i === j))),
  );
  const mask = tensor([1, 1, 0, 1, 1, 1, 0, 0, 1, 1]);
  const whole = valueAndGrad((hidden: Tensor) =>
    lossOf(gkd({ divergences: generalizedJsd(hidden, teacher), mask }))
  )(student);
  const chunked = valueAndGrad((hidden: Tensor) => {
    const heads = [{ hidden, head: eye }, { hidden: teacher, head: eye }];
    const divergences = mapLogits(heads, [], ([s, t]) => generalizedJsd(s!, t!), { maxLogits: 28 });
    return lossOf(gkd({ divergences, mask }));
  })(student);
  await realize([whole, chunked]);
  assertClose(await chunked[0].data(), await whole[0].data(), 1e-6, "loss");
  assertClose(await chunked[1].data(), await whole[1].data(), 1e-6, "gradient");
});

onCpu("a share of the teacher outside [0, 1] is refused", () => {
  const x = tensor([[1, 2]]);
  assert.throws(() => generalizedJsd(x, x, { beta: 1.5 }), /beta is 1\.5/);
});
