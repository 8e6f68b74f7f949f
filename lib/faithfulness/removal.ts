/** Whether proponents matter: the network is trained without them, without as many random patients, and without as many look-alikes. */
import { generatorAt, shuffledOrder } from '../random';
import { mean, type Resampling } from '../statistics';
import { influencedRegions } from '../influence/influenced';
import type { Study } from '../influence/study';
import { groupedMean, type Estimate } from './estimate';
import type { PatientTable } from './patient-influence';

/** Regions of one class of one test patient, asked about together: their losses are means over them. */
export interface RemovalSubject {
  readonly patient: string;
  readonly class: string;
  /** Regions, as test row · K + class. */
  readonly regions: readonly number[];
}

/** What removing patients does to the regions of one class of one test patient. */
export interface RemovalRegion {
  readonly patient: string;
  readonly class: string;
  readonly regions: number;
  /** Loss of the network trained on everyone. */
  readonly loss: number;
  /** Loss without the patients removed, less that. */
  readonly proponents: number;
  readonly random: number;
  readonly neighbours: number;
}

/** Whether training without the proponents hurts more than without others. */
export interface RemovalResult {
  /** Patients removed at a time, of how many. */
  readonly removed: number;
  readonly patients: number;
  /** Random sets. */
  readonly draws: number;
  readonly seeds: number;
  readonly subjects: readonly RemovalRegion[];
  /** How much more the loss rises without the proponents than without the others, mean over subjects, resampled by test patient. */
  readonly overRandom: Estimate;
  readonly overNeighbours: Estimate;
}

export interface RemovalOptions {
  readonly study: Study;
  readonly table: PatientTable;
  readonly losses: (without: readonly string[]) => Promise<Float64Array>;
  readonly subjects: number;
  readonly draws: number;
  readonly seeds: number;
  readonly resampling: Resampling;
}

const [SUBJECT, REMOVAL] = [74, 75];

/** Patients removed at a time: a fifth. */
export function removedOf(patients: number): number {
  return Math.max(1, Math.round(patients / 5));
}

/** Test patients and classes that something influences, in a random order, each patient once before any comes twice. */
export async function chooseSubjects(study: Study, count: number, seed: number): Promise<RemovalSubject[]> {
  const { tests, classes } = study;
  const influenced = await influencedRegions(study);
  const subjects = new Map<string, RemovalSubject & { regions: number[] }>();
  tests.slices.forEach(({ patient }, row) => {
    for (const [k, name] of classes.entries()) {
      if (!influenced[row]![k]) continue;
      const known = subjects.get(`${k} ${patient}`) ?? { patient, class: name, regions: [] };
      known.regions.push(row * classes.length + k);
      subjects.set(`${k} ${patient}`, known);
    }
  });
  const all = [...subjects.values()];
  const shuffled = shuffledOrder(all.length, generatorAt(seed, SUBJECT)).map((i) => all[i]!);
  const times = new Map<string, number>();
  const turn = shuffled.map(({ patient }) => {
    times.set(patient, (times.get(patient) ?? 0) + 1);
    return times.get(patient)!;
  });
  return [...shuffled.keys()]
    .sort((a, b) => turn[a]! - turn[b]! || a - b)
    .slice(0, count)
    .map((i) => shuffled[i]!);
}

export async function testRemoval({
  study,
  table,
  losses,
  subjects: count,
  draws,
  seeds,
  resampling,
}: RemovalOptions): Promise<RemovalResult> {
  const { patients } = table;
  const removed = removedOf(patients.length);
  const lossOf = (all: Float64Array, { regions }: RemovalSubject): number => mean(regions.map((region) => all[region]!));
  const full = await losses([]);
  const random: Float64Array[] = [];
  for (let draw = 0; draw < draws; draw++) {
    const order = shuffledOrder(patients.length, generatorAt(resampling.seed, REMOVAL, draw));
    random.push(await losses(order.slice(0, removed).map((i) => patients[i]!)));
  }
  const found: RemovalRegion[] = [];
  for (const subject of await chooseSubjects(study, count, resampling.seed)) {
    const loss = lossOf(full, subject);
    const without = async (values: Float64Array): Promise<number> =>
      lossOf(await losses(largest(table, values, subject, removed)), subject) - loss;
    found.push({
      patient: subject.patient,
      class: subject.class,
      regions: subject.regions.length,
      loss,
      proponents: await without(table.influence),
      random: mean(random.map((all) => lossOf(all, subject) - loss)),
      neighbours: await without(table.similarity),
    });
  }
  const over = (other: 'random' | 'neighbours'): Estimate =>
    groupedMean(
      found.map((one) => one.proponents - one[other]),
      found.map(({ patient }) => patient),
      resampling,
    );
  return {
    removed,
    patients: patients.length,
    draws,
    seeds,
    subjects: found,
    overRandom: over('random'),
    overNeighbours: over('neighbours'),
  };
}

/** The `count` patients of largest sum over a subject's regions. */
function largest({ patients }: PatientTable, values: Float64Array, { regions }: RemovalSubject, count: number): string[] {
  const sums = patients.map((_, p) => regions.reduce((sum, region) => sum + values[region * patients.length + p]!, 0));
  return [...patients.keys()].sort((a, b) => sums[b]! - sums[a]! || a - b).slice(0, count).map((p) => patients[p]!); // prettier-ignore
}
