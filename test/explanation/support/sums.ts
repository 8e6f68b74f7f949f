/** Influence maps of whole studies, held against the T they come from. */
import { existsSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../../lib/engine/engine';
import { computeMaps, type MapOptions } from '../../../lib/explanation/maps';
import type { MapEntry } from '../../../lib/explanation/map-files';
import { writeOnnx } from '../../../lib/graph/onnx';
import type { DefinitionOptions } from '../../../lib/influence/definition';
import type { NetworkSource } from '../../../lib/influence/networks';
import { computeInfluence } from '../../../lib/influence/run';
import type { Study } from '../../../lib/influence/study';
import { readNpy } from '../../../lib/npy';
import { buildNetwork, type NETWORKS } from '../../../models/registry';
import { describeNetwork, slicesOf } from '../../networks/stored';
import { trainingBatch } from '../../support/batches';
import { memorySource } from '../../support/memory-source';
import type { Slices } from '../../support/tracin';

const folder = mkdtempSync(join(tmpdir(), 'tracin-maps-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

let made = 0;

export interface Asked {
  readonly study: Study;
  readonly sources: NonNullable<MapOptions['sources']>;
}

async function studyOf(
  engine: Engine,
  networks: NetworkSource,
  slices: { readonly test: Slices; readonly train: Slices },
  classes: number,
  definition: DefinitionOptions,
): Promise<Asked> {
  const sources = { test: memorySource(slices.test, classes), train: memorySource(slices.train, classes) };
  const out = join(folder, `study-${made++}`);
  return { study: await computeInfluence({ ...sources, networks, engine, out, definition }), sources };
}

/** The sum of a map's numbers as a reader of the folder finds them. */
async function sumOf(study: Study, { file }: MapEntry): Promise<number> {
  const { data, shape } = await readNpy(join(study.dir, 'maps', file));
  expect(shape).toEqual(study.record.size);
  return (data as Float32Array).reduce((sum, x) => sum + x, 0);
}

/**
 * T lies between ± Σ_t η_t ‖g'_t‖ ‖g_t‖, and float32 rounds terms of that size. Below this share of it the gradients are nearly orthogonal:
 * T is what is left of terms that cancel, and has their digits, not its own.
 */
const ORTHOGONAL = 0.02;

/** Σ_t η_t ‖g'_t‖ ‖g_t‖ of the two regions of a map. */
async function lengths(study: Study, { test, train, ...names }: MapEntry): Promise<number> {
  const squares = { test: await study.norms('test'), train: await study.norms('train') };
  const at = (axis: Study['tests'], { case: name, slice }: MapEntry['test'], of: string): ((t: number) => number) => {
    const row = axis.slices.findIndex((one) => one.case === name && one.index === slice);
    return (t) => (t * axis.slices.length + row) * study.classes.length + study.classes.indexOf(of);
  };
  const [tested, trained] = [at(study.tests, test, names.class), at(study.trainings, train, names.trainClass)];
  return study.learningRates.reduce((sum, rate, t) => sum + rate * Math.sqrt(squares.test[tested(t)]! * squares.train[trained(t)]!), 0);
}

/** Of the maps of the first test slice's regions with the `top` training regions of each sign: the worst miss, as a share of |T|. */
export async function worstMiss(engine: Engine, { study, sources }: Asked, top: number): Promise<number> {
  let worst = 0;
  const { case: test, index: slice } = study.tests.slices[0]!;
  for (const [k, name] of study.classes.entries()) {
    if (study.tests.pixels[0]![k] === 0) continue;
    const maps = await computeMaps({ study, engine, sources, test: { case: test, slice }, class: name, trainClass: 'all', top });
    expect(maps.length).toBeGreaterThan(0);
    for (const map of maps) {
      const sum = await sumOf(study, map);
      expect(map.sum).toBe(sum);
      expect(Math.abs(map.score)).toBeGreaterThan(0);
      const known = Math.max(Math.abs(map.score), ORTHOGONAL * (await lengths(study, map)));
      worst = Math.max(worst, Math.abs(sum - map.score) / known);
    }
  }
  return worst;
}

/** As many as there are. */
export const ALL = 1000;
export const LIMIT = { reference: 1e-6, cpu: 1e-5, cuda: 1e-5 } as const;
const SIZE = [16, 24];
export const DEFINITIONS: readonly DefinitionOptions[] = [
  { loss: 'dice', region: 'predicted', target: 'predicted' },
  { loss: 'cross-entropy', region: 'truth', reduction: 'sum' },
  { loss: 'dice', region: 'slice' },
  { loss: 'dice', region: 'truth', parameters: 'head' },
];

const first = ({ images, targets, count, size }: Slices, few: number): Slices => ({
  images: images.subarray(0, (images.length / count) * few),
  targets: targets.subarray(0, (targets.length / count) * few),
  count: few,
  size,
});

export function noise(count: number, seed: number): Slices {
  const { images, targets } = trainingBatch({ slices: count, size: SIZE, modalities: 4 }, seed);
  return { images, targets, count, size: SIZE };
}

export async function zooStudy(engine: Engine, network: (typeof NETWORKS)[number], definition: DefinitionOptions): Promise<Asked> {
  const checkpoints: string[] = [];
  for (const seed of [1, 2]) {
    checkpoints.push(join(folder, `${network}-${seed}.onnx`));
    await writeOnnx(checkpoints.at(-1)!, buildNetwork({ network, width: 4, levels: 2, seed }));
  }
  const slices = { test: noise(1, 3), train: noise(3, 4) };
  return studyOf(engine, { checkpoints, learningRates: [0.1, 0.05] }, slices, 3, definition);
}

/** Of a network that another exporter wrote. */
export async function storedStudy(engine: Engine, name: string): Promise<Asked> {
  const { classes, learningRates } = await describeNetwork(name);
  const files = [0, 1].map((t) => join(__dirname, '..', '..', 'networks', name, `checkpoint-${t}.onnx`)).filter((file) => existsSync(file));
  const networks = { checkpoints: files, learningRates: learningRates.slice(-files.length) };
  const slices = { test: first(await slicesOf('test', classes), 1), train: first(await slicesOf('train', classes), 2) };
  return studyOf(engine, networks, slices, classes - 1, { region: 'truth' });
}
