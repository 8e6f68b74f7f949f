/** Times the engines side by side, one at a time; prints the table, writes results/cpu.json and the README's table. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openEngine } from '../lib/engine';
import { replaceFile } from '../lib/files';
import { toJson } from '../lib/json';
import { measure, type Timing } from './measure';
import { DESCRIPTION, openSubject, type Case } from './subject';
import { renderTable, replaceTable, type Results } from './table';

const ENGINES = ['reference', 'cpu'] as const;
/** Of each case on each engine, unless five calls take longer. */
const SECONDS = 4;
/** The sources' folder, seen from dist/bench. */
const ROOT = resolve(__dirname, '../..');

async function main(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tracin-bench-'));
  const subject = await openSubject(dir);
  try {
    const opened = await Promise.all(ENGINES.map(async (name) => (await openEngine(name)).engine));
    const cases: Results['cases'][number][] = [];
    for (const one of subject.cases) {
      const timings: Timing[] = [];
      for (const engine of opened) timings.push(await timed(one, engine));
      cases.push({ name: one.name, reference: timings[0]!, cpu: timings[1]! });
    }
    const machine = {
      processor: cpus()[0]?.model.trim() ?? 'unknown processor',
      cores: availableParallelism(),
      node: process.versions.node,
      engines: opened.map(({ description }) => description),
    };
    const results: Results = { machine, subject: DESCRIPTION, cases };
    const table = renderTable(results);
    await replaceFile(join(ROOT, 'bench', 'results', 'cpu.json'), toJson(results));
    await replaceTable(join(ROOT, 'README.md'), table);
    console.log(table);
  } finally {
    await subject.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function timed(one: Case, engine: Parameters<Case['prepare']>[0]): Promise<Timing> {
  console.error(`${engine.name}: ${one.name}`);
  const { work, close } = await one.prepare(engine);
  try {
    await work();
    return await measure(one.name, work, SECONDS);
  } finally {
    close();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
