/**
 * A process whose worker threads are terminated in the midst of the cpu engine's work, again and again; then it computes something itself.
 * Argument: how many.
 */
const { once } = require('node:events');
const { join } = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { isMainThread, parentPort, Worker } = require('node:worker_threads');
const root = join(__dirname, '..', '..', 'dist');
const { openNativeEngine } = require(join(root, 'lib', 'engine', 'native.js'));
const { buildNetwork } = require(join(root, 'models', 'registry.js'));

const SIZE = [64, 64];
const SLICES = 64;

function compiled() {
  return openNativeEngine('cpu', { threads: 2 }).compile(buildNetwork({ network: 'unet', width: 8, levels: 3, seed: 1 }), { size: SIZE });
}

async function work() {
  const program = await compiled();
  const images = new Float32Array(SLICES * 4 * SIZE[0] * SIZE[1]).fill(0.5);
  await program.forward(images.subarray(0, images.length / SLICES));
  parentPort.postMessage('at work');
  for (;;) await Promise.all([1, 2, 3].map(() => program.forward(images.slice())));
}

async function main(workers) {
  for (let i = 0; i < workers; i++) {
    const worker = new Worker(__filename);
    await once(worker, 'message');
    await sleep(20 + 15 * i);
    await worker.terminate();
  }
  const program = await compiled();
  await program.forward(new Float32Array(4 * SIZE[0] * SIZE[1]));
  process.stdout.write('computes');
}

(isMainThread ? main(Number(process.argv[2])) : work()).catch((error) => {
  console.error(error);
  process.exit(1);
});
