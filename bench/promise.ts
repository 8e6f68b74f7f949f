/** Whether a run of 2,000 training and 200 test slices keeps what its plan promises: memory, and time. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { openDataset } from '../lib/dataset/dataset';
import { writePhantom } from '../lib/dataset/phantom';
import { chosenSlices } from '../lib/dataset/views';
import { openEngine } from '../lib/engine';
import type { InfluencePlan } from '../lib/influence/plan';
import { computeInfluence } from '../lib/influence/run';
import { train } from '../lib/training/train';
import { secondsOf } from './measure';
import type { Report } from './subject';

const SIZE = 96;
const TRAININGS = 2000;
const TESTS = 200;
const MEMORY = 2 * 2 ** 30;
const PATIENTS = 110;
const TEST_PATIENTS = 12;
const NETWORK = { name: 'unet', width: 8, levels: 3 };

/** What the process that computes tells when it is done. */
interface Outcome {
  readonly engine: string;
  readonly plan: InfluencePlan;
  /** From the plan to the end. */
  readonly seconds: number;
  /** Bytes. */
  readonly peak: number;
}

export const PAGE = 'docs/performance.md';

export async function run(dir: string): Promise<Report> {
  const patients = join(dir, 'patients');
  const { cases } = await writePhantom(patients, { cases: PATIENTS, size: SIZE, seed: 1 });
  const names = cases.map((one) => one.case);
  const few = await openDataset({ dir: patients, size: SIZE, slices: { tumour: 30, spread: 10 }, cases: names.slice(0, 12) });
  const { engine } = await openEngine('cpu');
  await train({ data: { train: few }, network: NETWORK, epochs: 3, checkpointEvery: 3, run: join(dir, 'run'), engine });
  await few.close();
  const child = fork(__filename, [dir]);
  const exit = once(child, 'exit');
  const [outcome] = (await Promise.race([once(child, 'message'), exit.then(() => Promise.reject(new Error('the run failed')))])) as [
    Outcome,
  ];
  await exit;
  const { plan, seconds, peak } = outcome;
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
  return {
    results: { ...outcome, network: NETWORK, size: SIZE },
    rows: [
      ['', 'announced', 'came to pass', 'ratio'],
      ['memory of the process', mebibytes(plan.memory.total), mebibytes(peak), (peak / plan.memory.total).toFixed(2)],
      ['time', `${Math.round(plan.seconds!)} s`, `${Math.round(seconds)} s`, (seconds / plan.seconds!).toFixed(2)],
    ],
    about: [
      `${TRAININGS} training and ${TESTS} test slices of ${SIZE} × ${SIZE} pixels, 3 classes, one checkpoint, \`--memory 2G\``,
      `${NETWORK.name}, width ${NETWORK.width}, ${NETWORK.levels} levels`,
      outcome.engine,
    ],
  };
}

async function compute(dir: string): Promise<Outcome> {
  const patients = await openDataset({ dir: join(dir, 'patients'), size: SIZE, slices: { tumour: 30 } });
  const names = patients.cases.map((one) => one.case);
  const some = (from: number, to: number, count: number) => {
    const slices = patients.subset(names.slice(from, to));
    if (slices.slices.length < count) throw new Error(`${slices.slices.length} slices are fewer than ${count}`);
    return chosenSlices(
      slices,
      Array.from({ length: count }, (_, i) => i),
    );
  };
  const [test, training] = [some(0, TEST_PATIENTS, TESTS), some(TEST_PATIENTS, names.length, TRAININGS)];
  const { engine } = await openEngine('cpu');
  let plan: InfluencePlan | undefined;
  let began = performance.now();
  await secondsOf(() =>
    computeInfluence({
      train: training,
      test,
      networks: { run: join(dir, 'run') },
      engine,
      memory: MEMORY,
      out: join(dir, 'study'),
      onPlan(told) {
        plan = told;
        began = performance.now();
      },
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  await Promise.all([test.close(), training.close(), patients.close()]);
  return {
    engine: engine.description,
    plan: plan!,
    seconds,
    peak: process.resourceUsage().maxRSS * 1024,
  };
}

if (require.main === module) {
  void compute(process.argv[2]!).then((outcome) => process.send!(outcome, () => process.disconnect()));
}
