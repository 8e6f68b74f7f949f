/** A process that computes a study and is killed, as by the kernel, at a step of a stage if one is told: node killed.js OPTIONS.json [STAGE STEP] */
const { readFileSync } = require('node:fs');
const { openArrays } = require('../../../dist/lib/dataset/arrays.js');
const { openReferenceEngine } = require('../../../dist/lib/engine/reference/index.js');
const { computeInfluence } = require('../../../dist/lib/influence/run.js');

async function main([file, place, step]) {
  const { test, train, ...options } = JSON.parse(readFileSync(file, 'utf8'));
  let left = Number(step);
  await computeInfluence({
    ...options,
    test: await openArrays(test),
    train: await openArrays(train),
    engine: openReferenceEngine(),
    onProgress: ({ stage }) => stage === place && --left === 0 && process.kill(process.pid, 'SIGKILL'),
  });
}
void main(process.argv.slice(2));
