import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openArrays } from '../../lib/dataset/arrays';
import { openDataset } from '../../lib/dataset/dataset';
import { readNiftiHeader, readVolume, type Volume } from '../../lib/dataset/nifti';
import { writePhantom } from '../../lib/dataset/phantom';
import { writeOnnx } from '../../lib/graph/onnx';
import { hardDice } from '../../lib/inference/dice';
import { openInference } from '../../lib/inference/inference';
import { predict } from '../../lib/inference/predict';
import { predictLabels } from '../../lib/inference/predict-labels';
import { readNpy, writeNpy } from '../../lib/npy';
import { openReferenceEngine } from '../../lib/engine/reference';
import { train } from '../../lib/training/train';
import { buildNetwork } from '../../models/registry';
import { blobs } from '../support/blobs';

describe('predict', () => {
  let dir: string;
  let checkpoint: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tracin-'));
    await writePhantom(join(dir, 'patients'), { cases: 2, size: 32, seed: 4 });
    checkpoint = join(dir, 'network.onnx');
    await writeOnnx(checkpoint, buildNetwork({ network: 'resunet', width: 4, levels: 2, seed: 3 }));
  });
  afterAll(() => rm(dir, { recursive: true }));

  it('writes label volumes on the exact grid of the images, and their Dice', async () => {
    const data = await openDataset({ dir: join(dir, 'patients'), size: 24, slices: 'all' });
    const out = join(dir, 'volumes');
    const done: number[] = [];
    const prediction = await predict({ network: { checkpoint }, data, out, batch: 5, onProgress: (progress) => done.push(progress.done) });
    expect(done.at(-1)).toBe(data.slices.length);
    expect(prediction.provider).toBe('cpu');
    expect((await readdir(out)).sort()).toEqual(
      [...data.cases.map((one) => `${one.case}.nii.gz`), 'dice.csv', 'dice.json', 'labels.txt'].sort(),
    );

    for (const [i, { case: name }] of data.cases.entries()) {
      const [predicted, truth] = await Promise.all([
        readVolume(prediction.files[i]!),
        readVolume(join(dir, 'patients', name, `${name}_seg.nii.gz`)),
      ]);
      const image = await readNiftiHeader(join(dir, 'patients', name, `${name}_t1.nii.gz`));
      expect(predicted.header.shape).toEqual(image.shape);
      // pixdim; then the codes, quaternion, offsets and the three rows of the sform
      expect(predicted.header.bytes.subarray(76, 108)).toEqual(image.bytes.subarray(76, 108));
      expect(predicted.header.bytes.subarray(252, 328)).toEqual(image.bytes.subarray(252, 328));
      const values = [...new Set(predicted.voxels)];
      expect(values.length).toBeGreaterThan(1);
      expect(values.filter((value) => ![0, 1, 2, 4].includes(value))).toEqual([]);

      // Dice again, from the two files, over the window that the network saw
      const { frame, shape } = data.geometry(name);
      const inside = (voxel: number): boolean => {
        const [x, y] = [voxel % shape[0], Math.floor(voxel / shape[0]) % shape[1]];
        return x >= frame.offset[0] && x < frame.offset[0] + 24 && y >= frame.offset[1] && y < frame.offset[1] + 24;
      };
      const labels = (voxels: Volume['voxels']): Uint8Array =>
        Uint8Array.from(
          voxels.filter((_, voxel) => inside(voxel)),
          (value) => (value === 4 ? 3 : value),
        );
      expect(prediction.dice[i]).toMatchObject({ case: name, dice: hardDice(labels(predicted.voxels), labels(truth.voxels), 3) });
    }
    const json = JSON.parse(await readFile(join(out, 'dice.json'), 'utf8')) as { cases: unknown[]; mean: Record<string, number | null> };
    expect(json.cases).toHaveLength(2);
    expect(Object.values(json.mean)).toEqual(prediction.mean);
    expect((await readFile(join(out, 'dice.csv'), 'utf8')).split('\n')[0]).toBe('case,patient,dice_NCR/NET,dice_ED,dice_ET');
    await data.close();
  });

  it('refuses a dataset that would leave slices empty', async () => {
    const data = await openDataset({ dir: join(dir, 'patients'), size: 24, slices: { first: 3, last: 5 } });
    const refused = predict({ network: { checkpoint }, data, out: join(dir, 'none') });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: expect.stringMatching(/3 of its 16 slices .* slices 'all'/) as string,
    });
    await expect(readdir(join(dir, 'none'))).rejects.toThrow('ENOENT');
    await data.close();
  });

  it('uses the last checkpoint of a run, and writes an array for arrays', async () => {
    const source = blobs({ slices: 5, side: 16 });
    const run = await train({
      data: { train: source },
      network: { name: 'unet', width: 4, levels: 2 },
      run: join(dir, 'run'),
      engine: openReferenceEngine(),
      epochs: 2,
    });
    const { images, labels } = await source.read([0, 1, 2, 3, 4]);
    await writeNpy(join(dir, 'images.npy'), [5, 2, 16, 16], new Float32Array(images));
    await writeNpy(join(dir, 'labels.npy'), [5, 16, 16], new Uint8Array(labels!));

    const prediction = await predict({ network: { run: run.dir }, data: source, out: join(dir, 'arrays') });
    expect(prediction.checkpoint).toBe(run.checkpoints[1]!.file);
    expect((await readdir(prediction.out)).sort()).toEqual(['dice.csv', 'dice.json', 'labels.npy']);
    const written = await readNpy(prediction.files[0]!);
    const inference = await openInference(prediction.checkpoint);
    expect(written).toEqual({ dtype: 'u1', shape: [5, 16, 16], data: await predictLabels(inference, source) });
    await inference.close();

    // another kind of data, and none of the labels
    const arrays = await openArrays({ images: join(dir, 'images.npy'), classes: ['one', 'two'] });
    const refused = predict({ network: { run: run.dir }, data: arrays, out: join(dir, 'refused') });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_TRACIN_DATA',
      message: expect.stringMatching(/trained on classes bright, .* the data has one, two/) as string,
    });
    const unlabelled = await predict({ network: { checkpoint: prediction.checkpoint }, data: arrays, out: join(dir, 'unlabelled') });
    expect(unlabelled.dice).toEqual([]);
    expect(await readdir(unlabelled.out)).toEqual(['labels.npy']);
    // over the first: its Dice is of other labels
    await predict({ network: { checkpoint: prediction.checkpoint }, data: arrays, out: prediction.out });
    expect(await readdir(prediction.out)).toEqual(['labels.npy']);
    await arrays.close();
  });

  it('replaces no file of the data', async () => {
    const nnunet = join(dir, 'nnunet');
    const labels = join(nnunet, 'labelsTr');
    await Promise.all([mkdir(join(nnunet, 'imagesTr'), { recursive: true }), mkdir(labels, { recursive: true })]);
    for (const [i, name] of ['t1', 't1ce', 't2', 'flair'].entries())
      await copyFile(join(dir, `patients/Phantom_001/Phantom_001_${name}.nii.gz`), join(nnunet, `imagesTr/one_000${i}.nii.gz`));
    await copyFile(join(dir, 'patients/Phantom_001/Phantom_001_seg.nii.gz'), join(labels, 'one.nii.gz'));
    const channels = { 0: 'T1', 1: 'T1ce', 2: 'T2', 3: 'FLAIR' };
    const description = {
      channel_names: channels,
      labels: { background: 0, NCR: 1, ED: 2, ET: 4 },
      numTraining: 1,
      file_ending: '.nii.gz',
    };
    await writeFile(join(nnunet, 'dataset.json'), JSON.stringify(description));
    await symlink(labels, join(dir, 'link'));
    const before = await readFile(join(labels, 'one.nii.gz'));
    const data = await openDataset({ dir: nnunet, size: 24, slices: 'all' });
    for (const out of [labels, join(dir, 'link')]) {
      await expect(predict({ network: { checkpoint }, data, out })).rejects.toMatchObject({
        code: 'ERR_TRACIN_USAGE',
        message: `${join(out, 'one.nii.gz')} is part of the data and would be replaced: choose another folder`,
      });
    }
    await data.close();
    expect(await readdir(labels)).toEqual(['one.nii.gz']);
    expect(await readFile(join(labels, 'one.nii.gz'))).toEqual(before);

    const arrays = join(dir, 'own');
    await mkdir(arrays);
    await writeNpy(join(arrays, 'images.npy'), [1, 4, 16, 16], new Float32Array(1024));
    await writeNpy(join(arrays, 'labels.npy'), [1, 16, 16], new Uint8Array(256).fill(3));
    const rows = await openArrays({ images: join(arrays, 'images.npy'), labels: join(arrays, 'labels.npy') });
    await expect(predict({ network: { checkpoint }, data: rows, out: arrays })).rejects.toMatchObject({
      message: `${join(arrays, 'labels.npy')} is part of the data and would be replaced: choose another folder`,
    });
    await rows.close();
    expect((await readdir(arrays)).sort()).toEqual(['images.npy', 'labels.npy']);
  });

  it('leaves whole files only when it is stopped', async () => {
    const data = await openDataset({ dir: join(dir, 'patients'), size: 24, slices: 'all' });
    const abort = new AbortController();
    const out = join(dir, 'stopped');
    await mkdir(out);
    for (const name of ['dice.json', 'dice.csv']) await writeFile(join(out, name), 'of another network');
    const stopped = predict({
      network: { checkpoint },
      data,
      out,
      batch: 4,
      signal: abort.signal,
      onProgress: ({ done }) => done === 20 && abort.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_TRACIN_ABORTED' });
    expect(await readdir(out)).toEqual([`${data.cases[0]!.case}.nii.gz`]);
    await data.close();
  });
});
