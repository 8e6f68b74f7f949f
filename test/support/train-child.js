/** A process to be killed: trains on the arrays of a folder. Arguments: folder of the arrays, run folder. */
const { join } = require('node:path');
const lib = join(__dirname, '..', '..', 'dist', 'lib');
const { openArrays } = require(join(lib, 'dataset', 'arrays.js'));
const { openReferenceEngine } = require(join(lib, 'engine', 'reference', 'index.js'));
const { train } = require(join(lib, 'training', 'train.js'));

const [data, run] = process.argv.slice(2);

(async () => {
  const source = await openArrays({ images: join(data, 'images.npy'), labels: join(data, 'labels.npy') });
  await train({
    data: { train: source },
    network: { name: 'unet', width: 4, levels: 2 },
    run,
    engine: openReferenceEngine(),
    epochs: 12,
    batch: 4,
    resume: true,
    onProgress: () => process.stdout.write('.'),
  });
  await source.close();
})();
