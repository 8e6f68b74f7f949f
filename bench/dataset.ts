/** A BraTS case decoded, normalised and sliced, against nibabel and numpy doing the same. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openDataset, type Dataset } from '../lib/dataset/dataset';
import { inTurns, secondsOf, type Timing } from './measure';
import { Peer } from './peer';
import type { Report } from './subject';
import { inWords, ratio } from './table';

export const PAGE = 'docs/performance.md';

/** Cases of BraTS 2021 layout, as far as they are there. */
const DATA = process.env.TRACIN_BRATS_DIR ?? resolve(__dirname, '../../../shared/data/BraTS');
const CASE = { folder: 'HGG', name: 'BraTS2021_00006' };
const SIZE = 240;
const ROUNDS = 15;
const DESCRIPTION = 'five .nii.gz of 240 × 240 × 155, z-score over the non-zero voxels, float32 slices and labels';

interface Decoded {
  readonly seconds: number;
  /** Σ x² over the images, Σ over the labels. */
  readonly squares: number;
  readonly labels: number;
}

export async function run(): Promise<Report> {
  const folder = join(DATA, CASE.folder, CASE.name);
  if (!existsSync(folder)) throw new Error(`${folder} is not there: TRACIN_BRATS_DIR names the folder above HGG/`);
  // No cache: every read decodes again.
  const dataset = await openDataset({ dir: DATA, cases: [CASE.name], size: SIZE, slices: 'all', cacheBytes: 0 });
  const peers = await Promise.all([1, 2].map((threads) => Peer.open<{ about: string }>('dataset.py', [folder, String(threads)])));
  const [one, two] = peers.map(
    ({ peer }) =>
      async () =>
        (await peer.go<Decoded>()).seconds,
  );
  try {
    await assertSameWork(dataset, await peers[0]!.peer.go<Decoded>());
    const timings = await inTurns({ ours: () => secondsOf(() => decode(dataset)), one: one!, two: two! }, ROUNDS);
    const line = (name: string, timing: Timing): string[] => [name, inWords(timing), ratio(timing, timings.one)];
    return {
      results: { subject: DESCRIPTION, peer: peers[0]!.about.about, case: CASE.name, ...timings },
      rows: [
        ['median (95th percentile)', 'a case', 'of nibabel + numpy'],
        line('tracin-seg, all cores', timings.ours),
        line('nibabel + numpy', timings.one),
        line('nibabel + numpy, two threads', timings.two),
      ],
      about: [DESCRIPTION, peers[0]!.about.about],
    };
  } finally {
    for (const { peer } of peers) peer.close();
    await dataset.close();
  }
}

function decode(dataset: Dataset): ReturnType<Dataset['read']> {
  return dataset.read(dataset.slices.map((_, position) => position));
}

/** Both sides must come to the same numbers, or their times say nothing. */
async function assertSameWork(dataset: Dataset, theirs: Decoded): Promise<void> {
  const { images, labels } = await decode(dataset);
  const squares = images.reduce((sum, x) => sum + x * x, 0);
  const sum = labels!.reduce((total, label) => total + label, 0);
  if (Math.abs(squares / theirs.squares - 1) > 1e-6 || sum !== theirs.labels) {
    throw new Error(`the peer decodes other numbers: Σ x² ${squares} against ${theirs.squares}, labels ${sum} against ${theirs.labels}`);
  }
}
