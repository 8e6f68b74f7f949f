/** All of ONNX's own tests of operators on floats, as the onnx package of a Python has them: ONNX_PYTHON, else python3. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { runNodeCase, type NodeCase } from './node-cases';

const python = process.env.ONNX_PYTHON ?? 'python3';
const made = spawnSync(python, [join(__dirname, 'make_node_tests.py')], { encoding: 'utf8', maxBuffer: 2 ** 28 });
const hasOnnx = made.status === 0;
if (!hasOnnx) console.warn(`${python} has no onnx package: set ONNX_PYTHON to one that has`);

/** Where engines mean to differ. */
const DELIBERATE: readonly (readonly [RegExp, string])[] = [
  [/_training_mode$|^test_training_dropout/, 'influence is taken of the network at inference: running statistics, no dropout'],
  [/^test_resize_downsample_scales_\w+_align_corners$/, 'as onnxruntime and PyTorch: corners of the whole number of pixels that there are'],
];

(hasOnnx ? test : test.skip)(
  'no operator computes anything else than ONNX',
  () => {
    const cases = made.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as NodeCase);
    const table = new Map<string, { passed: number; refused: number; failed: number; why: Set<string> }>();
    const failures: string[] = [];
    for (const test of cases) {
      const { operator } = test;
      const row = table.get(operator) ?? { passed: 0, refused: 0, failed: 0, why: new Set() };
      table.set(operator, row);
      const outcome = runNodeCase(test);
      row[outcome.result]++;
      if (outcome.result === 'refused') row.why.add(outcome.why.replace(`${test.name}: `, ''));
      if (outcome.result === 'failed' && !DELIBERATE.some(([name]) => name.test(test.name))) failures.push(`${test.name}: ${outcome.why}`);
    }
    const lines = [...table].sort().map(([operator, { passed, refused, failed, why }]) => {
      const reasons = why.size > 0 ? ` | ${[...why].slice(0, 2).join('; ')}` : '';
      return `${operator.padEnd(28)} ${passed} passed, ${refused} refused, ${failed} failed${reasons}`;
    });
    process.stdout.write(`${lines.join('\n')}\n`);
    expect(failures).toEqual([]);
    expect(cases.length).toBeGreaterThan(300);
  },
  600_000,
);
