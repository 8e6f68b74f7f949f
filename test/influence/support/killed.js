/** A process that computes a study and is killed, as by the kernel, after so many steps: node killed.js OPTIONS.json STEPS */
const { readFileSync } = require('node:fs');
const { openArrays } = require('../../../dist/lib/dataset/arrays.js');
const { openReferenceEngine } = require('../../../dist/lib/engine/reference/index.js');
const { computeInfluence } = require('../../../dist/lib/influence/run.js');

async function main([file, steps]) {
  const { test, train, ...options } = JSON.parse(readFileSync(file, 'utf8'));
  let left = Number(steps);
  await computeInfluence({
    ...options,
    test: await openArrays(test),
    train: await openArrays(train),
    engine: openReferenceEngine(),
    onProgress: () => --left === 0 && process.kill(process.pid, 'SIGKILL'),
  });
}
void main(process.argv.slice(2));
