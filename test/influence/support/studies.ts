/** Study folders of numbers chosen by hand. */
import { mkdir, writeFile } from 'node:fs/promises';
import { resolveDefinition, type DefinitionOptions } from '../../../lib/influence/definition';
import { FORMAT_VERSION, studyPaths, type RegionsFile, type StudyFile } from '../../../lib/influence/folder';
import { openStudy, type Study } from '../../../lib/influence/study';
import { toJson } from '../../../lib/json';
import { writeNpy } from '../../../lib/npy';

export interface Numbers {
  readonly classes: readonly string[];
  readonly learningRates: readonly number[];
  /** [slice]: patient, index and pixels [K]; the case is the patient. */
  readonly test: readonly (readonly [patient: string, index: number, pixels: readonly number[]])[];
  readonly train: Numbers['test'];
  /** [checkpoints][M·K·N·K] */
  readonly products: readonly (readonly number[])[];
  /** [checkpoints·slices·K]; all 1 when absent. */
  readonly testNorms?: readonly number[];
  readonly trainNorms?: readonly number[];
  readonly definition?: DefinitionOptions;
  /** A digit that stands for the networks' bytes; default 0. */
  readonly network?: string;
}

const SIZE = [2, 2];

export async function writeStudy(dir: string, numbers: Numbers): Promise<Study> {
  const { classes, learningRates, products } = numbers;
  const K = classes.length;
  const definition = resolveDefinition(numbers.definition ?? { region: 'truth' });
  const paths = studyPaths(dir);
  await mkdir(dir, { recursive: true });
  const axis = (slices: Numbers['test']): RegionsFile['test'] => ({
    slices: slices.map(([patient, index]) => ({ case: patient, patient, index })),
    pixels: slices.map(([, , pixels]) => [...pixels]),
    absent: slices.flatMap(([, , pixels], row) => pixels.flatMap((n, k): [number, string][] => (n === 0 ? [[row, classes[k]!]] : []))),
  });
  const record: StudyFile = {
    formatVersion: FORMAT_VERSION,
    tool: 'tracin-seg test',
    engine: { name: 'reference', description: 'by hand', precision: 'f32' },
    definition,
    classes: [...classes],
    checkpoints: learningRates.map((learningRate, t) => ({
      file: `../${t}.onnx`,
      epoch: t,
      learningRate,
      sha256: (numbers.network ?? '0').repeat(64),
    })),
    parameters: ['weight'],
    parameterCount: 1,
    size: SIZE,
    modalities: ['t1'],
    datasets: { test: { fingerprint: 'test' }, train: { fingerprint: 'train' } },
  };
  const shape = [numbers.test.length, K, numbers.train.length, K];
  const scores = new Float32Array(shape.reduce((product, n) => product * n, 1));
  for (const [t, rate] of learningRates.entries()) {
    const array = Float32Array.from(products[t]!);
    array.forEach((product, i) => (scores[i]! += rate * product));
    await writeNpy(paths.products(t), shape, array);
  }
  await writeNpy(paths.scores, shape, scores);
  for (const role of ['test', 'train'] as const) {
    const slices = numbers[role].length;
    const count = learningRates.length * slices * K;
    const norms = (role === 'test' ? numbers.testNorms : numbers.trainNorms) ?? Array.from({ length: count }, () => 1);
    await writeNpy(paths.norms(role), [learningRates.length, slices, K], Float32Array.from(norms));
    await writeNpy(paths.losses(role), [learningRates.length, slices, K], new Float32Array(count));
    await writeNpy(paths.predicted(role), [slices, ...SIZE], new Uint8Array(slices * SIZE[0]! * SIZE[1]!));
  }
  await writeFile(paths.regions, toJson({ test: axis(numbers.test), train: axis(numbers.train) }));
  await writeFile(paths.study, toJson(record));
  return openStudy(dir);
}
