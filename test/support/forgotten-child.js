/** Programs and datasets that nobody disposes of: prints how many threads there were, and how many there are once they are collected. */
const { setTimeout: sleep } = require('node:timers/promises');
const threads = require('node:worker_threads');
const { join } = require('node:path');

let running = 0;
let started = 0;
threads.Worker = class extends threads.Worker {
  constructor(...words) {
    super(...words);
    running++;
    started++;
    this.on('exit', () => running--);
  }
};
const { buildNetwork, openDataset, openEngine } = require(join(__dirname, '..', '..', 'dist', 'lib', 'index.js'));

async function use(dir) {
  const { engine } = await openEngine('reference');
  const program = await engine.compile(buildNetwork({ network: 'resunet', width: 2, levels: 2 }), { size: [8, 8] });
  const images = new Float32Array(4 * 8 * 8).fill(1);
  const batch = { images, targets: new Uint8Array(64), masks: new Uint8Array(3 * 64).fill(1) };
  await (await program.resident(2)).append(batch, { kind: 'dice', reduction: 'mean' });
  const slices = await openDataset({ dir, size: 32 });
  await slices.read([0]);
}

async function main(dir) {
  for (let i = 0; i < 3; i++) await use(dir);
  for (let i = 0; i < 100 && running > 0; i++) {
    global.gc();
    await sleep(50); // a thread ends by itself
  }
  process.stdout.write(`${started > 3} ${running}`);
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
