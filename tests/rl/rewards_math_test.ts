import assert from "node:assert/strict";
import { answerOf, parseMathAnswer, sameMathAnswer, solutionAnswer } from "../../rl/mod.ts";

function same(gold: string, answer: string): boolean {
  const [a, b] = [parseMathAnswer(gold), parseMathAnswer(answer)];
  assert.ok(a !== null && b !== null, `${gold} | ${answer}`);
  return sameMathAnswer(a, b);
}

type Pairs = Readonly<Record<string, readonly (readonly [gold: string, answer: string])[]>>;

const equal: Pairs = {
  "numbers": [
    ["-5", "-5"],
    ["-5", "−5"],
    ["1000", "1000.0"],
    ["0.4", ".4"],
    ["5", "5."],
    ["007", "7"],
    ["12345678901234567891", "12345678901234567891"],
  ],
  "thousands separators": [
    ["7425000", "7,425,000"],
    ["1000", "1 000"],
    ["1000.99", "1,000.99"],
    ["14916", "14{,}916"],
    ["10000", "10,\\!000"],
    ["1000/3", "\\frac{1,000}{3}"],
  ],
  "currencies and units": [
    ["1000.99", "\\$1,000.99"],
    ["5", "5€"],
    ["1/3", "\\frac{1}{3} \\text{ meters}"],
    ["1/3", "\\frac13\\textbf{ m}^2"],
    ["12", "12 cm"],
    ["12", "12cm^2"],
    ["12", "12\\,\\mathrm{km/h}"],
    ["12", "12 square feet"],
    ["12", "12 miles per hour"],
    ["2\\pi", "2\\pi\\text{ cm}"],
    ["90", "90^\\circ"],
    ["90", "90^{\\circ}"],
    ["3", "3 apples."],
  ],
  "fractions": [
    ["10/9", "\\frac{10}{9}"],
    ["-10/9", "-\\frac{10}{9}"],
    ["-10/9", "\\frac{-10}{9}"],
    ["1/3", "\\frac13"],
    ["1", "\\frac3{3}"],
    ["1/3", "\\dfrac{1}{3}"],
    ["1/3", "\\left( \\tfrac{1}{3} \\right)"],
    ["0.5", "1/2"],
    ["1/3", "0.333333"],
    ["2/4", "1/2"],
    ["1/6", "0.1\\overline{6}"],
    ["n!", "n!"],
    ["\\frac{\\frac{1}{2}}{3}", "1/6"],
  ],
  "mixed numbers": [
    ["40/9", "4 4/9"],
    ["-40/9", "-4 4/9"],
    ["9004/9", "1 000 4/9"],
    ["7/3", "2\\frac{1}{3}"],
    ["7/3", "2\\frac13"],
    ["-7/3", "-2 \\frac{1}{3}"],
  ],
  "percentages": [
    ["28\\%", "28 percent"],
    ["28\\%", "28 pct"],
    ["28\\%", "0.28"],
    ["28%", "28"],
    ["0.28", "28\\%"],
    ["40/900", "4 4/9%"],
  ],
  "roots, powers and functions": [
    ["\\sqrt{3}", "\\sqrt3"],
    ["2\\sqrt{2}", "\\sqrt{8}"],
    ["\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"],
    ["2", "\\sqrt[3]{8}"],
    ["1024", "2^{10}"],
    ["1/8", "2^{-3}"],
    ["24", "4!"],
    ["10", "\\binom{5}{2}"],
    ["\\frac12", "\\sin\\frac{\\pi}{6}"],
    ["3", "\\log_2 8"],
    ["6", "2 \\cdot 3"],
    ["6", "2 \\times 3"],
    ["10", "(9+1)"],
    ["3", "|-3|"],
    ["sqrt(3)/2", "\\frac{\\sqrt{3}}{2}"],
  ],
  "π and symbols": [
    ["2\\pi", "2π"],
    ["2\\pi", "2 pi"],
    ["\\frac{\\pi}{2}", "\\pi/2"],
    ["2-2p", "2(1-p)"],
    ["(x+1)^2", "x^2+2x+1"],
    ["x_1+x_2", "x_{2} + x_{1}"],
    ["\\alpha\\beta", "\\beta \\alpha"],
    ["\\sin 2x", "2\\sin x\\cos x"],
    ["\\infty", "∞"],
    ["x\\sqrt{x}", "x^{3/2}"],
  ],
  "sets, points and intervals": [
    ["[0,1)", "\\left[0, 1\\right)"],
    ["(3, \\frac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)"],
    ["\\{1,2\\}", "\\{2, 1\\}"],
    ["1, 2", "2 \\text{ and } 1"],
    ["1,-1", "\\pm 1"],
    ["3\\pm\\sqrt2", "3-\\sqrt2, 3+\\sqrt{2}"],
    ["\\{5\\}", "5"],
    ["(-\\infty,0)\\cup(1,\\infty)", "(1,\\infty) \\cup (-\\infty, 0)"],
    ["x \\in [0,1]", "[0,1]"],
    ["(1,2),(3,4)", "(3,4), (1,2)"],
    ["\\{1,000\\}", "\\{0, 1\\}"],
  ],
  "equations and inequalities": [
    ["5", "x = 5"],
    ["1/3", "k = \\frac{1}{3}"],
    ["2x+1", "f(x) = 2x + 1"],
    ["5", "5 = x"],
    ["5", "2 + 3 = 5"],
    ["5", "\\text{Total} = 5"],
    ["x^2+y^2=1", "1 = y^2 + x^2"],
    ["x<5", "5>x"],
    ["-1 < x \\le 3", "3 \\geq x > -1"],
    ["a=b=7", "7"],
    ["x \\le 5", "x \\leq 5"],
  ],
  "words": [
    ["\\text{Evelyn}", "Evelyn"],
    ["\\text{Evelyn}", "\\mathrm{ evelyn }"],
    ["\\text{(A)}", "A"],
    ["4210_{5}", "4210_5"],
    ["\\begin{pmatrix} 0 & 3 \\end{pmatrix}", "\\begin{pmatrix}0&3\\end{pmatrix}"],
  ],
};

const unequal: Pairs = {
  "numbers": [
    ["5", "-5"],
    ["5", "50"],
    ["0.33", "1/3"],
    ["0.0000001", "0.0000002"],
    ["12345678901234567891", "12345678901234567892"],
    ["1.5", "15"],
    ["11/6", "11 5/6"],
    ["139/90", "11/10 4/9"],
    ["12", "11 7/6"],
    ["20", "4 5"],
  ],
  "percentages": [
    ["0.28", "28"],
    ["28", "28/100"],
    ["28", "28\\%"],
    ["28/100", "28"],
  ],
  "sets, points and intervals": [
    ["[0,9)", "[0,1)"],
    ["(0,9)", "[0,9)"],
    ["(1,2)", "(2,1)"],
    ["\\{1,2\\}", "\\{1,2,3\\}"],
    ["\\{1,1\\}", "\\{1,2\\}"],
    ["\\{1,2\\}", "(1,2)"],
    ["1", "-[0,1)"],
    ["(0,1)\\cup(2,3)", "(0,1)"],
  ],
  "formulas": [
    ["2-2p", "2-p"],
    ["x", "y"],
    ["\\sqrt{x^2}", "x"],
    ["\\pi", "3.14"],
    ["x^2", "2x"],
    ["2xyz", "2"],
    ["6 abc", "6"],
    ["\\sqrt{2}", "2"],
    ["\\frac{1}{0}", "\\frac{2}{0}+x"],
  ],
  "equations and inequalities": [
    ["x^2+y^2=1", "1"],
    ["x<5", "x>5"],
    ["x<5", "x\\le 5"],
    ["x+y=1", "x+y=2"],
    ["x^2=1", "x=1"],
    ["-1 < x < 3", "3"],
    ["-1 < x < 3", "-1 < x \\le 3"],
  ],
  "words": [
    ["A", "B"],
    ["A", "a"],
    ["\\text{Evelyn}", "\\text{Lynvee}"],
    ["\\begin{pmatrix} 0 & 3 \\end{pmatrix}", "\\begin{pmatrix} 3 & 0 \\end{pmatrix}"],
  ],
};

for (const [subject, pairs] of Object.entries(equal)) {
  Deno.test(`answers are the same however they are written: ${subject}`, () => {
    const wrong = pairs.filter(([gold, answer]) => !same(gold, answer));
    assert.deepEqual(wrong, []);
  });
}

for (const [subject, pairs] of Object.entries(unequal)) {
  Deno.test(`different answers are different: ${subject}`, () => {
    const wrong = pairs.filter(([gold, answer]) => same(gold, answer));
    assert.deepEqual(wrong, []);
  });
}

/** What a text's answer is found to be. */
function found(text: string): string | undefined {
  return answerOf(text)?.text;
}

Deno.test("the answer of a completion is its last box, with boxes joined to it", () => {
  assert.equal(found("\\boxed{2} and then $x=\\boxed{\\frac{14}{3}}$."), "\\frac{14}{3}");
  assert.equal(found("either \\boxed{1} or \\boxed{2}."), "1,2");
  assert.equal(found("so $\\boxed{28}$ percent"), "28%");
  assert.equal(found("$\\boxed{28}\\%$"), "28%");
  assert.equal(found("\\fbox{7}"), "7");
  assert.equal(found("\\boxed{\\boxed{7}+1}"), "\\boxed{7}+1");
  assert.equal(found("answer: $3$, but \\boxed{4}"), "4");
});

Deno.test("without a box, the answer of a completion is the formula that it calls the answer", () => {
  assert.equal(found("Answer \\[ 9 \\]"), "9");
  assert.equal(found("The answer is \\( \\frac{1}{2} \\)."), "\\frac{1}{2}");
  assert.equal(found("answer: $1$ … The final answer is $12$ and $13$. I hope"), "12,13");
  assert.equal(found("Answer $$ \n 9 \n $$"), "9");
  assert.equal(found("Answer $ \n 9 \n $"), undefined);
});

Deno.test("a completion that states no answer in LaTeX has none", () => {
  for (const text of ["", "The answer is 4.", "$4$", "\\boxed{4", "\\boxed{}"]) {
    assert.equal(found(text), undefined, text);
  }
});

Deno.test("the answer of a solution may stand alone, in a formula, or at the end", () => {
  const golds: Readonly<Record<string, string>> = {
    "4": "4",
    "\\frac{1}{3}": "\\frac{1}{3}",
    "2\\sqrt{3}": "2\\sqrt{3}",
    "x + 1 = 2x": "x+1=2x",
    "p - q": "p-q",
    "4210_{5}": "4210_{5}",
    "We have $2+2=4$, so $x=4$.": "4",
    "He has 5 apples.\n#### 1,234": "1234",
    "There are 4 boxes of 12.": "12",
    "It costs $5.00": "5.00",
    "about 28% of it": "28%",
    "\\text{Evelyn}": "\\text{Evelyn}",
    "$\\frac12$ is not it: \\boxed{3}": "3",
  };
  for (const [solution, expected] of Object.entries(golds)) {
    assert.equal(solutionAnswer(solution)?.text, expected, solution);
  }
});

Deno.test("a solution without mathematics has no answer", () => {
  for (const solution of ["", "   ", "no idea", "so-so", "A", "AZYUK2A", "Paris, of course."]) {
    assert.equal(solutionAnswer(solution), null, solution);
  }
});

Deno.test("what models write without end is neither an answer nor a burden", () => {
  const endless = [
    "(",
    "-",
    "1+",
    "\\{",
    "{",
    "\\frac{",
    "1 ",
    "1,",
    "x=",
    "^",
    "\\pm",
    "$",
    "\\sqrt ",
  ]
    .flatMap((piece) => [piece.repeat(400), `${piece.repeat(300)}1`, piece.repeat(20_000)]);
  const words = `5 ${"meters".repeat(500)}!`;
  for (const text of [...endless, words]) {
    const answer = answerOf(`\\boxed{${text}} or answer: $${text}$`);
    const gold = solutionAnswer("7");
    assert.ok(gold !== null);
    assert.ok(answer === null || !sameMathAnswer(gold, answer), text.slice(0, 20));
  }
});
