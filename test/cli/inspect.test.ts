import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Inspection } from '../../lib/graph/inspect';
import { writeOnnx } from '../../lib/graph/onnx';
import { node } from '../graph/support';
import { refusal, tracin } from '../support/cli';
import { smallNetwork } from '../support/graphs';

const root = mkdtempSync(join(tmpdir(), 'tracin-inspect-'));
const file = join(root, 'net.onnx');
beforeAll(() => writeOnnx(file, smallNetwork()));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('a network in words', async () => {
  const { status, stdout, stderr } = await tracin(['inspect', file, '--size', '16']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain(`${file}: test, opset 17\n`);
  expect(stdout).toMatch(/^ {2}logits {2}float32 {2}\[N, 4, H, W\] {2}← logits$/m);
  expect(stdout).toMatch(/^ {2}BatchNormalization {2}3$/m);
  expect(stdout).toMatch(/^ {2}top\.weight +kernel +\[4, 3, 3, 3\] +108$/m);
  expect(stdout).toMatch(/^ {2}total +11 +\d+$/m);
  expect(stdout).toContain('3 modalities, 4 classes (background and 3), sizes divisible by 2 × 2\n');
  expect(stdout).toMatch(/^last hidden layer: \[4, 16, 16\], read by .* with head\.weight$/m);
  expect(stdout).toMatch(
    /^memory at 16 × 16 on (cpu: .* for each slice of a batch \(no more than \d+ at once\)|(cuda|reference): .* for each slice of a batch), .* for each resident region$/m,
  );
});

test('the same for machines', async () => {
  const { stdout } = await tracin(['inspect', file, '--json']);
  const { network, memory } = JSON.parse(stdout) as Inspection & { memory: Record<'fixed' | 'slice' | 'row', number> };
  expect(network!.parameters.reduce((sum, { size }) => sum + size, 0)).toBe(network!.parameterCount);
  expect(Math.min(memory.fixed, memory.slice, memory.row)).toBeGreaterThan(0);
});

test('a network that cannot be run: what there is of it, everything in the way, status 2', async () => {
  const graph = smallNetwork();
  const strange = join(root, 'strange.onnx');
  const nodes = [...graph.nodes.slice(0, -1), node('Unique', [graph.nodes.at(-1)!.inputs[0]!], ['a']), node('Fancy', ['a'], ['logits'])];
  await writeOnnx(strange, { ...graph, nodes });
  const { stdout } = await tracin(['inspect', strange]);
  expect(stdout).toMatch(/^ {2}Fancy +1 {2}not supported$/m);
  expect(await refusal(['inspect', strange])).toMatch(
    /strange\.onnx: 2 operators are not supported: Unique \(node 'Unique of a'\), Fancy \(node 'Fancy of logits'\): export /,
  );
});

test('an output that is not there', async () => {
  expect(await refusal(['inspect', file, '--output', 'aux'])).toContain('aux');
});
