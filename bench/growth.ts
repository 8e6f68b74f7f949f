/** How the time of a whole influence run grows: with training slices, test slices, checkpoints, image area and width of the network. */
import { join } from 'node:path';
import { openDataset } from '../lib/dataset/dataset';
import { writePhantom } from '../lib/dataset/phantom';
import type { SliceSource } from '../lib/dataset/slices';
import { chosenSlices } from '../lib/dataset/views';
import { openEngine } from '../lib/engine';
import type { Engine } from '../lib/engine/engine';
import { writeOnnx } from '../lib/graph/onnx';
import { computeInfluence } from '../lib/influence/run';
import { buildNetwork } from '../models/registry';
import { secondsOf } from './measure';
import type { Report } from './subject';

interface Point {
  readonly trainings: number;
  readonly tests: number;
  readonly checkpoints: number;
  /** Of an image, pixels. */
  readonly side: number;
  readonly width: number;
}

const BASE: Point = { trainings: 64, tests: 16, checkpoints: 1, side: 64, width: 8 };
const LEVELS = 3;
const PATIENTS = 4;

/** What grows, the values it takes, and how large the work is in its terms. */
const AXES: readonly { readonly name: string; readonly points: readonly Point[]; readonly measure: (point: Point) => number }[] = [
  { name: 'training slices', points: varied('trainings', [64, 128, 256, 512]), measure: (point) => point.trainings },
  { name: 'test slices', points: varied('tests', [64, 128, 256, 512]), measure: (point) => point.tests },
  { name: 'checkpoints', points: varied('checkpoints', [1, 2, 4, 8]), measure: (point) => point.checkpoints },
  { name: 'pixels of an image', points: varied('side', [32, 64, 96, 128]), measure: ({ side }) => side * side },
  { name: 'width of the network', points: varied('width', [4, 8, 16, 32]), measure: (point) => point.width },
];
const BARS = '▁▂▃▄▅▆▇█';

export const PAGE = 'docs/performance.md';

export async function run(dir: string): Promise<Report> {
  const { engine } = await openEngine('cpu');
  const slices = new Map<number, SliceSource>();
  const axes: { name: string; values: number[]; seconds: number[]; exponent: number }[] = [];
  try {
    for (const { side } of AXES.flatMap(({ points }) => points)) {
      if (!slices.has(side)) slices.set(side, await openSlices(join(dir, `patients-${side}`), side));
    }
    let studies = 0;
    for (const { name, points, measure } of AXES) {
      console.error(name);
      const seconds: number[] = [];
      for (const point of points) {
        seconds.push(await timed(point, slices.get(point.side)!, engine, join(dir, `work-${studies++}`)));
      }
      const values = points.map(measure);
      axes.push({ name, values, seconds, exponent: slope(values.map(Math.log), seconds.map(Math.log)) });
    }
  } finally {
    for (const source of slices.values()) await source.close();
  }
  const about = `unet, width ${BASE.width}, ${LEVELS} levels, ${BASE.trainings} training and ${BASE.tests} test slices of ${BASE.side} × ${BASE.side} pixels, ${BASE.checkpoints} checkpoint, except for what grows`;
  return {
    results: { engine: engine.description, base: BASE, levels: LEVELS, axes },
    rows: [
      ['what grows', 'from … to', 'seconds', '', 'exponent'],
      ...axes.map(({ name, values, seconds, exponent }) => [
        name,
        values.join(', '),
        seconds.map((time) => Number(time.toPrecision(2))).join(', '),
        curve(seconds),
        exponent.toFixed(2),
      ]),
    ],
    about: [about, engine.description],
  };
}

function varied(what: keyof Point, values: readonly number[]): Point[] {
  return values.map((value) => ({ ...BASE, [what]: value }));
}

async function openSlices(dir: string, side: number): Promise<SliceSource> {
  await writePhantom(dir, { cases: PATIENTS, size: side, seed: 1 });
  return openDataset({ dir, size: side, slices: { tumour: 8 } });
}

/** Seconds of a run whose slices, where there are not as many, come again and again. */
async function timed(point: Point, slices: SliceSource, engine: Engine, dir: string): Promise<number> {
  const { trainings, tests, checkpoints, width } = point;
  const files = Array.from({ length: checkpoints }, (_, t) => join(dir, `${t}.onnx`));
  for (const [t, file] of files.entries()) {
    await writeOnnx(file, buildNetwork({ network: 'unet', width, levels: LEVELS, seed: t + 1 }));
  }
  const some = (count: number): SliceSource =>
    chosenSlices(
      slices,
      Array.from({ length: count }, (_, i) => i % slices.slices.length),
    );
  return secondsOf(() =>
    computeInfluence({
      train: some(trainings),
      test: some(tests),
      networks: { checkpoints: files, learningRates: files.map(() => 0.01) },
      // Regions from the labels: those of an untrained network are no regions.
      definition: { region: 'truth' },
      engine,
      out: join(dir, 'study'),
    }),
  );
}

/** Of the least-squares line. */
function slope(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  const sum = (term: (i: number) => number): number => x.reduce((total, _, i) => total + term(i), 0);
  return sum((i) => (x[i]! - mx) * (y[i]! - my)) / sum((i) => (x[i]! - mx) ** 2);
}

function curve(values: readonly number[]): string {
  const largest = Math.max(...values);
  return values.map((value) => BARS[Math.max(0, Math.ceil((value / largest) * BARS.length) - 1)]).join('');
}
