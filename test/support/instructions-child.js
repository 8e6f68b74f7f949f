/**
 * A process whose environment says which instructions the cpu engine may use (ONEDNN_MAX_CPU_ISA). Prints the engine's description, how far
 * its gradients of a small U-Net are from the reference engine's, as a share of the largest, and why it has no bf16, if so.
 */
const { join } = require('node:path');
const dist = join(__dirname, '..', '..', 'dist');
const { openNativeEngine } = require(join(dist, 'lib', 'engine', 'native.js'));
const { openReferenceEngine } = require(join(dist, 'lib', 'engine', 'reference', 'index.js'));
const { buildNetwork } = require(join(dist, 'models', 'registry.js'));

const [CLASSES, MODALITIES, SIZE] = [3, 4, [36, 44]];
const PIXELS = SIZE[0] * SIZE[1];

/** Some pixels near a border, a stripe and all. */
const REGIONS = [(y, x) => y < 7 && x > 30, (y) => y > 20 && y < 23, () => true];

(async () => {
  const graph = buildNetwork({ network: 'unet', width: 16, levels: 3, seed: 3 });
  // of no two channels the same, as after training
  for (const [name, { data }] of graph.initializers)
    if (/norm/.test(name)) data.forEach((x, i) => (data[i] = x + 0.5 * Math.sin(3 * i + name.length)));
  const at = (visit) => Array.from({ length: PIXELS }, (_, i) => visit(Math.floor(i / SIZE[1]), i % SIZE[1]));
  const batch = {
    images: Float32Array.from({ length: MODALITIES * PIXELS }, (_, i) => Math.sin(i * i)),
    targets: Uint8Array.from(at((y, x) => (y + x) % (CLASSES + 1))),
    masks: Uint8Array.from(REGIONS.flatMap(at).map(Number)),
  };
  const gradientsOf = async (engine) => {
    const program = await engine.compile(graph, { size: SIZE });
    const { gradients } = await program.gradients(batch, { kind: 'dice', reduction: 'mean' });
    program.dispose();
    return gradients;
  };
  const cpu = openNativeEngine('cpu', { threads: 2 });
  const [found, expected] = [await gradientsOf(cpu), await gradientsOf(openReferenceEngine())];
  const largest = (numbers) => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const error = largest(expected.map((x, i) => x - found[i])) / largest(expected);
  let refused;
  try {
    openNativeEngine('cpu', { precision: 'bf16' });
  } catch ({ code, message }) {
    refused = { code, message };
  }
  console.log(JSON.stringify({ description: cpu.description, error, refused }));
})();
