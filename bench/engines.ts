/** The engines side by side on the work of an influence run, one at a time. */
import { openEngine } from '../lib/engine';
import { DESCRIPTION, openCases, type Case } from './engine-cases';
import { measure, secondsOf, type Timing } from './measure';
import type { Report } from './subject';
import { inWords, ratio } from './table';

const ENGINES = ['reference', 'cpu'] as const;
/** Of each case on each engine, unless five calls take longer. */
const SECONDS = 4;

export const PAGE = 'README.md';

export async function run(dir: string): Promise<Report> {
  const opened = await Promise.all(ENGINES.map(async (name) => (await openEngine(name)).engine));
  const subject = await openCases(dir);
  try {
    const timed: { name: string; reference: Timing; cpu: Timing }[] = [];
    for (const one of subject.cases) {
      const timings: Timing[] = [];
      for (const engine of opened) timings.push(await timingOf(one, engine));
      timed.push({ name: one.name, reference: timings[0]!, cpu: timings[1]! });
    }
    const engines = opened.map(({ description }) => description);
    return {
      results: { engines, subject: DESCRIPTION, cases: timed },
      rows: [
        ['median (95th percentile)', '`reference`', '`cpu`', 'ratio'],
        ...timed.map(({ name, reference, cpu }) => [name, inWords(reference), inWords(cpu), ratio(reference, cpu)]),
      ],
      about: [DESCRIPTION, ...engines],
    };
  } finally {
    await subject.close();
  }
}

async function timingOf(one: Case, engine: Parameters<Case['prepare']>[0]): Promise<Timing> {
  console.error(`${engine.name}: ${one.name}`);
  const { work, close } = await one.prepare(engine);
  try {
    if (one.long && engine.name === 'reference') {
      const seconds = await secondsOf(work);
      return { median: seconds, p95: seconds, samples: 1 };
    }
    await work();
    return await measure(one.name, work, SECONDS);
  } finally {
    close();
  }
}
