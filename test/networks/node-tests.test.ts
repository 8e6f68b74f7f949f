/** A few of ONNX's own tests for every operator that segmentation networks are made of; all of them are in node-tests.slow.test.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runNodeCase, type NodeCase } from './node-cases';

const CASES = readFileSync(join(__dirname, 'node-tests.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as NodeCase);

test.each(CASES)('$name', (test) => {
  expect(runNodeCase(test)).toEqual({ result: 'passed' });
});
