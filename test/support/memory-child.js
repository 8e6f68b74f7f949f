/**
 * A process that measures itself: regions of many sizes go through a small network, whose kernels the cpu engine compiles anew for every
 * size of box. Prints the bytes announced and the bytes by which the process grew at most.
 * Arguments: side of the kernels, channels, layers, pixels a side, rounds, slices of the batch.
 */
const { join } = require('node:path');
const lib = join(__dirname, '..', '..', 'dist', 'lib');
const { openNativeEngine } = require(join(lib, 'engine', 'native.js'));
const { GraphBuilder } = require(join(lib, 'graph', 'builder.js'));

const [KERNEL, CHANNELS, DEPTH, SIDE, ROUNDS, SLICES] = process.argv.slice(2).map(Number);
const [CLASSES, MODALITIES] = [3, 2];
const PIXELS = SIDE * SIDE;

let state = 1;
function below(n) {
  state = (state * 1103515245 + 12345) % 2 ** 31;
  return Math.floor((state / 2 ** 31) * n);
}

function network() {
  const builder = new GraphBuilder({ name: 'wide kernels', modalities: MODALITIES });
  let x = builder.image;
  for (let i = 0; i < DEPTH; i++) x = builder.relu(`relu${i}`, builder.conv(`conv${i}`, x, { channels: CHANNELS, kernel: KERNEL }));
  return builder.build(builder.conv('head', x, { channels: CLASSES + 1, kernel: 1 }));
}

(async () => {
  const graph = network();
  const batch = {
    images: Float32Array.from({ length: SLICES * MODALITIES * PIXELS }, () => below(100) / 100),
    targets: Uint8Array.from({ length: SLICES * PIXELS }, () => below(CLASSES + 1)),
    masks: new Uint8Array(SLICES * CLASSES * PIXELS),
  };
  const before = process.memoryUsage.rss();
  const program = await openNativeEngine('cpu', { threads: 2 }).compile(graph, { size: [SIDE, SIDE] });
  let most = before;
  for (let round = 0; round < ROUNDS; round++) {
    batch.masks.fill(0);
    for (let region = 0; region < SLICES * CLASSES; region++) {
      const [height, width] = [1 + below(SIDE), 1 + below(SIDE)];
      const corner = region * PIXELS + below(SIDE - height + 1) * SIDE + below(SIDE - width + 1);
      for (let y = 0; y < height; y++) batch.masks.fill(1, corner + y * SIDE, corner + y * SIDE + width);
    }
    await program.contract(undefined, batch, { kind: 'dice', reduction: 'mean' });
    most = Math.max(most, process.memoryUsage.rss());
  }
  const { fixed, slice, together } = program.memory;
  console.log(JSON.stringify({ announced: fixed + Math.min(SLICES, together) * slice, together, grown: most - before }));
})();
