/** Wrong input of every kind ends in one line that names case or file, and status 2. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readOnnx, writeOnnx } from '../../lib/graph/onnx';
import { buildNetwork } from '../../models/registry';
import { refusal, tracin } from '../support/cli';

const root = mkdtempSync(join(tmpdir(), 'tracin-cli-'));
const good = join(root, 'good');
const TRAIN = ['train', '--network', 'unet', '--width', '2', '--levels', '2', '--size', '32', '--epochs', '1', '--threads', '1'];

beforeAll(async () => {
  expect((await tracin(['phantom', good, '--cases', '4', '--size', '32'])).status).toBe(0);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A copy of the good patients in which files of Phantom_002 are changed; its path. */
function damaged(name: string, kinds: readonly string[], change: (file: string) => void): string {
  const dir = join(root, name);
  cpSync(good, dir, { recursive: true });
  for (const kind of kinds) change(join(dir, 'Phantom_002', `Phantom_002_${kind}.nii.gz`));
  return dir;
}

/** Changes the unpacked NIfTI. */
const edited =
  (edit: (nifti: Buffer) => Buffer | void) =>
  (file: string): void => {
    const nifti = gunzipSync(readFileSync(file));
    writeFileSync(file, gzipSync(edit(nifti) ?? nifti));
  };

/** The int16 voxels as float32, the third of them NaN. */
function withNaN(nifti: Buffer): Buffer {
  const start = nifti.readFloatLE(108);
  const voxels = Float32Array.from({ length: (nifti.length - start) / 2 }, (_, i) => (i === 2 ? NaN : nifti.readInt16LE(start + 2 * i)));
  const header = Buffer.from(nifti.subarray(0, start));
  header.writeInt16LE(16, 70); // DT_FLOAT32
  header.writeInt16LE(32, 72);
  return Buffer.concat([header, Buffer.from(voxels.buffer)]);
}

/** 32 × 32 × 16 voxels called 16 × 64 × 16. */
function reshaped(nifti: Buffer): void {
  nifti.writeInt16LE(16, 42);
  nifti.writeInt16LE(64, 44);
}

test.each<[string, string[], (file: string) => void, RegExp]>([
  [
    'truncated gzip',
    ['t2'],
    (file) => writeFileSync(file, readFileSync(file).subarray(0, 2000)),
    /Phantom_002_t2\.nii\.gz: .*(cut|truncated|ends)/,
  ],
  [
    'a header that says more than the file holds',
    ['t1', 't1ce', 't2', 'flair', 'seg'],
    edited((nifti) => void nifti.writeInt16LE(3000, 46)),
    /Phantom_002_\w+\.nii\.gz: .*3000/,
  ],
  ['NaN voxels', ['t2'], edited(withNaN), /Phantom_002_t2\.nii\.gz: .*NaN/],
  ['a modality missing', ['t2'], (file) => rmSync(file), /^Phantom_002: modality T2 is missing: add .*Phantom_002_t2\.nii\.gz$/],
  ['another shape', ['t2'], edited(reshaped), /Phantom_002.*(shape|grid)/],
  ['another affine', ['t2'], edited((nifti) => void nifti.writeFloatLE(nifti.readFloatLE(292) + 5, 292)), /Phantom_002.*(affine|grid|mm)/],
  [
    'an unknown label',
    ['seg'],
    edited((nifti) => void (nifti[nifti.readFloatLE(108) + 40] = 3)),
    /Phantom_002_seg\.nii\.gz: label 3 at voxel \(.*\) .* not one of 0 background, 1 NCR\/NET, 2 ED, 4 ET/,
  ],
])('%s', async (name, kinds, change, message) => {
  const data = damaged(name.replaceAll(' ', '-'), kinds, change);
  const run = join(root, `run-${name}`);
  expect(await refusal([...TRAIN, '--data', data, '--split', join(data, 'split.json'), '--slices', '0-15', '--run', run])).toMatch(message);
});

test('an empty split, a case nobody has, a patient on both sides', async () => {
  const split = (content: unknown): string[] => {
    const file = join(root, 'split.json');
    writeFileSync(file, JSON.stringify(content));
    return [...TRAIN, '--data', good, '--run', join(root, 'run'), '--split', file];
  };
  expect(await refusal(split({ train: [], test: ['Phantom_001'] }))).toMatch(/split\.json: train is empty: name at least one case$/);
  expect(await refusal(split({ train: ['Phantom_009'] }))).toMatch(
    /split\.json: train names case Phantom_009, which the data does not have/,
  );
  expect(await refusal(split({ train: ['Phantom_001'], test: ['Phantom_001'] }))).toMatch(/case Phantom_001 stands in train and in test/);
  expect(await refusal([...TRAIN, '--data', good, '--run', join(root, 'run'), '--shares', '0,0.5,0.5'])).toMatch(/^no training cases/);
});

test('a size the network cannot halve', async () => {
  expect(await refusal([...TRAIN.slice(0, 7), '--size', '33', '--data', good, '--run', join(root, 'run')])).toMatch(/33.*2, 2/);
});

describe('influence', () => {
  const network = (name: string): string => join(root, name);
  const influence = (checkpoints: string, rates: string, ...more: string[]): string[] => [
    ...['influence', '--data', good, '--size', '32', '--train', 'Phantom_001', '--test', 'Phantom_002', '--threads', '1'],
    ...['--checkpoints', checkpoints, '--learning-rates', rates, '--out', join(root, 'study'), ...more],
  ];
  const [a, b, wide] = [network('a.onnx'), network('b.onnx'), network('wide.onnx')];

  beforeAll(async () => {
    await writeOnnx(a, buildNetwork({ network: 'unet', width: 2, levels: 2, seed: 1 }));
    await writeOnnx(b, buildNetwork({ network: 'unet', width: 2, levels: 2, seed: 2 }));
    await writeOnnx(wide, buildNetwork({ network: 'unet', width: 3, levels: 2, seed: 1 }));
  });

  test('a checkpoint of another network', async () => {
    expect(await refusal(influence(`${a},${wide}`, '0.1,0.1'))).toMatch(/wide\.onnx/);
  });

  test('a network exported for one size, and what to do; without a size it is that one', async () => {
    const graph = buildNetwork({ network: 'unet', width: 2, levels: 2, seed: 1, modalities: 4, classes: 4 });
    const [input] = graph.inputs;
    const only = network('only.onnx');
    await writeOnnx(only, { ...graph, inputs: [{ ...input!, dims: ['N', 4, 26, 34] }] });
    const crop = /only\.onnx: was exported for images of 26 × 34 alone, not 32 × 32: export it with free axes .* crop or pad .*--size/;
    expect(await refusal(influence(only, '0.1'))).toMatch(crop);
    const predict = ['predict', '--checkpoints', only, '--data', good, '--cases', 'Phantom_001', '--out', join(root, 'predicted')];
    expect(await refusal([...predict, '--size', '32'])).toMatch(crop);
    const { status, stderr } = await tracin(predict);
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^slices cropped or padded to 26 × 34: .*only/m) as string,
    });
  });

  test('learning rates that are zero, too few, or not there', async () => {
    expect(await refusal(influence(`${a},${b}`, '0.1,0'))).toMatch(/^learning rate 0 of checkpoint .*b\.onnx must be a number above zero$/);
    expect(await refusal(influence(`${a},${b}`, '0.1'))).toMatch(/^1 learning rates for 2 checkpoints/);
    expect(await refusal(influence(a, '0.1').filter((word) => !['--learning-rates', '0.1'].includes(word)))).toMatch(
      /^no learning rates for 1 checkpoints/,
    );
  });

  test('what is not an ONNX file, and one that is cut off', async () => {
    writeFileSync(network('text.onnx'), 'not a network');
    writeFileSync(network('cut.onnx'), readFileSync(a).subarray(0, 3000));
    expect(await refusal(influence(network('text.onnx'), '0.1'))).toMatch(/text\.onnx/);
    expect(await refusal(influence(network('cut.onnx'), '0.1'))).toMatch(/cut\.onnx/);
    expect(await refusal(influence(network('none.onnx'), '0.1'))).toMatch(/none\.onnx: it does not exist/);
    expect((await readOnnx(a)).source).toBe(a);
  });

  test('cases and definitions that cannot be meant', async () => {
    expect(await refusal(influence(a, '0.1', '--loss', 'cross-entropy', '--region', 'slice'))).toMatch(
      /region slice has no meaning with loss cross-entropy/,
    );
    expect(await refusal(influence(a, '0.1', '--parameters', 'nothing*'))).toMatch(/nothing\*/);
    const spot = join(root, 'spot.nii.gz');
    expect(await refusal(influence(a, '0.1', '--region-mask', spot))).toBe(`cannot read ${spot}: it does not exist: check the path`);
    expect(await refusal(influence(a, '0.1', '--class-names', 'ED,ET'))).toMatch(/class names ED, ET: give 3/);
    expect(await refusal(influence(a, '0.1', '--test-images', 'x.npy'))).toBe(
      '--data belongs to a data folder and has no meaning for arrays: leave it out',
    );
    expect(await refusal(influence(a, '0.1').map((word) => (word === 'Phantom_002' ? 'Phantom_009' : word)))).toMatch(
      /has no case Phantom_009/,
    );
  });

  test('an unknown class, case or slice in a ranking', async () => {
    const { status } = await tracin(influence(`${a},${b}`, '0.1,0.1', '--region', 'truth'));
    expect(status).toBe(0);
    const rank = (test: string, name: string, ...more: string[]): string[] => [
      'rank',
      join(root, 'study'),
      '--test',
      test,
      '--class',
      name,
      ...more,
    ];
    expect(await refusal(rank('Phantom_002', 'CSF'))).toBe('unknown class CSF: choose from NCR/NET, ED, ET');
    expect(await refusal(rank('Phantom_002', 'ED', '--train-class', 'CSF'))).toBe('unknown class CSF: choose from NCR/NET, ED, ET');
    expect(await refusal(rank('Phantom_003', 'ED'))).toBe('unknown test case Phantom_003: choose from Phantom_002');
    expect(await refusal(rank('Phantom_002:99', 'ED'))).toMatch(/^case Phantom_002 has no test slice 99: choose from /);
    expect(await refusal(influence(`${a},${b}`, '0.1,0.1', '--region', 'truth'))).toMatch(/holds a complete study/);
  });
});
