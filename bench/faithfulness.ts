/**
 * What can be claimed for influence on synthetic patients: four networks of three training seeds each, faults planted, every test of
 * lib/faithfulness. Hours of one core: TRACIN_BENCH_FOLDER names a folder that keeps what is done, so that a run that was stopped goes on.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { coresHere } from '../lib/cores';
import { writePhantom } from '../lib/dataset/phantom';
import { auditResults } from './study/audits';
import { summarise, type NetworkSummary } from './study/networks';
import { drawFigures } from './study/figures';
import * as recipe from './study/recipe';
import { claims, tables } from './study/tables';
import type { PaperUnit, Unit } from './study/unit';
import { NETWORKS } from '../models/registry';
import type { Report } from './subject';

export const PAGE = 'docs/faithfulness.md';

export async function run(dir: string): Promise<Report> {
  const work = resolve(process.env.TRACIN_BENCH_FOLDER ?? dir);
  for (const faults of Object.keys(recipe.FAULTY) as recipe.Faults[]) {
    const folder = recipe.patientsPath(work, faults);
    // phantom.json is the last file to be written.
    if (!existsSync(join(folder, 'phantom.json'))) await writePhantom(folder, recipe.FAULTY[faults]);
  }
  const waiting = recipe.UNITS.filter((unit) => {
    const { result, paper } = recipe.unitPaths(work, unit);
    return !existsSync(result) || !existsSync(paper);
  });
  await Promise.all(
    Array.from({ length: coresHere() }, async () => {
      for (let unit = waiting.shift(); unit; unit = waiting.shift()) await inProcess(work, unit);
    }),
  );
  const read = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;
  const units = await Promise.all(recipe.UNITS.map((unit) => read<Unit>(recipe.unitPaths(work, unit).result)));
  const papers = await Promise.all(
    recipe.UNITS.map(async (unit) => ({ ...unit, ...(await read<PaperUnit>(recipe.unitPaths(work, unit).paper)) })),
  );
  const resampling = { resamples: 400, seed: 1 };
  const scannerOf = await readScanners(recipe.patientsPath(work, 'coarse'));
  const networks: NetworkSummary[] = [];
  for (const network of NETWORKS) {
    const of = <T extends recipe.UnitName>(all: readonly T[]): T[] => all.filter((unit) => unit.network === network);
    networks.push(await summarise(work, network, of(units), of(papers), scannerOf, resampling));
  }
  const audits = auditResults(units, resampling);
  await drawFigures(work, papers, resolve(__dirname, '../../docs/figures'));
  const dice = units.map(({ network, seed, conditions }) => ({ network, seed, conditions: conditions.map(({ faults, length, dice }) => ({ faults, length, dice })) })); // prettier-ignore
  const { cases, size, seed, planted } = recipe.FAULTY.coarse;
  const [{ conditions }] = units as [Unit];
  const trained = conditions[0]!.faulty.length;
  return {
    results: { recipe: { ...recipe, SEEDS: recipe.SEEDS }, resampling, dice, networks, audits },
    rows: claims(networks),
    others: tables(units, networks, audits),
    about: [
      `${cases} synthetic patients of two scanners (phantom of ${size} × ${size} pixels, seed ${seed}), ${trained} to train on, ${planted * 100} % of them faulty, ${recipe.HELD_OUT} to silence features on, ${new Set(units[0]!.tests).size} to ask about`,
      `width ${recipe.NETWORK.width}, ${recipe.NETWORK.levels} levels, training seeds ${recipe.SEEDS.join(', ')}`,
      `95 % intervals in brackets, ${resampling.resamples} resamples, seed ${resampling.seed}`,
    ],
  };
}

async function readScanners(dir: string): Promise<Map<string, string>> {
  const { cases } = z
    .object({ cases: z.array(z.object({ case: z.string(), scanner: z.string() })) })
    .parse(JSON.parse(await readFile(join(dir, 'phantom.json'), 'utf8')));
  return new Map(cases.map((one) => [one.case, one.scanner]));
}

/** A unit computes on one thread, so there are as many at a time as cores. */
function inProcess(work: string, { network, seed }: recipe.UnitName): Promise<void> {
  console.error(`${new Date().toISOString()} ${network}, seed ${seed}`);
  const child = spawn(process.execPath, [join(__dirname, 'study', 'unit.js'), work, network, String(seed)], { stdio: 'inherit' });
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => (code === 0 ? done() : failed(new Error(`${network}, seed ${seed}: stopped with ${code}`))));
  });
}
