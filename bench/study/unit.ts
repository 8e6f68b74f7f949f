/**
 * One network of one training seed, trained briefly and long on coarse and on one-pixel faults, and tested: `node unit.js WORK NETWORK SEED`
 * in a process of its own. What is done is not done again.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataset, type Dataset } from '../../lib/dataset/dataset';
import { recordOf } from '../../lib/dataset/record';
import { readSplit } from '../../lib/dataset/split';
import { openEngine } from '../../lib/engine';
import type { Engine } from '../../lib/engine/engine';
import type { ClassAblation } from '../../lib/faithfulness/ablation';
import { scorePatients } from '../../lib/faithfulness/audit';
import type { PatientScores } from '../../lib/faithfulness/audit-scores';
import { readFeatureArrays } from '../../lib/faithfulness/correlation';
import { trainHalves, type TrainedHalves } from '../../lib/faithfulness/datamodel';
import { faithfulnessPaths, type Faithfulness } from '../../lib/faithfulness/files';
import { patientTable } from '../../lib/faithfulness/patient-influence';
import { retrainedLosses } from '../../lib/faithfulness/retrainer';
import { testFaithfulness } from '../../lib/faithfulness/run';
import { plantedPatients } from '../../lib/faithfulness/subject';
import { parseCsv } from '../../lib/csv';
import { replaceFile } from '../../lib/files';
import { readOnnx } from '../../lib/graph/onnx';
import { byFalling, candidatesOf } from '../../lib/influence/candidates';
import type { DefinitionOptions } from '../../lib/influence/definition';
import { influencedRegions } from '../../lib/influence/influenced';
import { influenceOf } from '../../lib/influence/normalisation';
import { computeInfluence } from '../../lib/influence/run';
import type { Study } from '../../lib/influence/study';
import { evaluateDice } from '../../lib/training/evaluate';
import { openRun, type Run } from '../../lib/training/run';
import { train } from '../../lib/training/train';
import * as recipe from './recipe';
import type { DefinitionName, Faults, Length, UnitName } from './recipe';

export type Dice = readonly (number | null)[];

/** A training on one kind of faults. */
export interface Condition {
  readonly faults: Faults;
  readonly length: Length;
  /** [K]; of the training slices against the labels trained on, faults and all. */
  readonly dice: { readonly train: Dice; readonly test: Dice };
  readonly faulty: readonly boolean[];
  /** Patient by patient. */
  readonly scores: Readonly<Record<DefinitionName, readonly PatientScores[]>>;
}

/** Spearman of one test region. */
export interface Alike {
  readonly patient: string;
  readonly class: string;
  readonly influence: string;
  readonly similarity: string;
  readonly value: number;
}

/** The patients whose regions of the class lead a test region's list, and all that are on it. */
export interface Leading {
  readonly patient: string;
  readonly class: string;
  readonly influence: 'none' | 'cosine';
  readonly top: readonly string[];
  readonly candidates: readonly string[];
}

export interface Unit extends UnitName {
  readonly conditions: readonly Condition[];
  /** Of coarse faults and the short training, as all below. */
  readonly alike: readonly Alike[];
  readonly faithfulness: Faithfulness;
  readonly halves: TrainedHalves;
  readonly leading: readonly Leading[];
  /** Patient of each test slice. */
  readonly tests: readonly string[];
}

/** The published code's definition on the checkpoints of coarse faults and the short training. */
export interface PaperUnit {
  readonly alike: readonly Alike[];
  readonly ablation: readonly ClassAblation[];
}

interface Sources {
  readonly train: Dataset;
  readonly heldOut: Dataset;
  readonly test: Dataset;
  readonly record: (part: Dataset) => ReturnType<typeof recordOf>;
}

async function openSources(work: string, faults: Faults): Promise<Sources> {
  const dir = recipe.patientsPath(work, faults);
  const { train: trained, validation, test } = await readSplit(join(dir, 'split.json'));
  const others = [...validation, ...test];
  const open = (cases: readonly string[], slices: typeof recipe.TRAIN_SLICES): Promise<Dataset> =>
    openDataset({ dir, cases, size: recipe.SIZE, slices });
  const heldOut = await open(others.slice(0, recipe.HELD_OUT), recipe.TEST_SLICES);
  const asked = await open(others.slice(recipe.HELD_OUT), recipe.TEST_SLICES);
  const slicesOf = (part: Dataset): typeof recipe.TRAIN_SLICES =>
    part === heldOut || part === asked ? recipe.TEST_SLICES : recipe.TRAIN_SLICES;
  return {
    train: await open(trained, recipe.TRAIN_SLICES),
    heldOut,
    test: asked,
    record: (part) => ({ ...recordOf({ dir, slices: slicesOf(part) }, part), cases: part.cases.map((one) => one.case) }),
  };
}

async function testUnit(work: string, name: UnitName): Promise<void> {
  const { engine } = await openEngine('cpu', { threads: 1 });
  const { result, paper } = recipe.unitPaths(work, name);
  if (!existsSync(result)) await replaceFile(result, JSON.stringify(await allConditions(work, name, engine), plain));
  if (!existsSync(paper)) await replaceFile(paper, JSON.stringify(await testPaper(work, name, engine)));
}

async function allConditions(work: string, name: UnitName, engine: Engine): Promise<Unit> {
  const conditions: Condition[] = [];
  let tested: Omit<Unit, keyof UnitName | 'conditions'> | undefined;
  for (const faults of Object.keys(recipe.FAULTY) as Faults[]) {
    const sources = await openSources(work, faults);
    for (const length of Object.keys(recipe.EPOCHS) as Length[]) {
      const run = await trainRun(work, name, faults, length, sources, engine);
      const scores: Partial<Record<DefinitionName, PatientScores[]>> = {};
      let faulty: boolean[] = [];
      for (const definition of Object.keys(recipe.DEFINITIONS) as DefinitionName[]) {
        const study = await studyOf(
          run,
          recipe.unitPaths(work, name).study(faults, length, definition),
          recipe.DEFINITIONS[definition],
          sources,
          engine,
        );
        const patients = await scorePatients({ study, engine });
        const planted = (await plantedPatients(study))!;
        faulty = patients.map(({ patient }) => planted.has(patient));
        scores[definition] = patients;
        if (faults === 'coarse' && length === 'short' && definition === recipe.DEFAULT) tested = await test(study, sources, name, engine);
      }
      conditions.push({ faults, length, faulty, scores: scores as Condition['scores'], dice: await diceOf(run, sources, engine) });
    }
    for (const source of [sources.train, sources.heldOut, sources.test]) await source.close();
  }
  return { ...name, conditions, ...tested! };
}

async function trainRun(
  work: string,
  name: UnitName,
  faults: Faults,
  length: Length,
  { train: training, heldOut, test, record }: Sources,
  engine: Engine,
): Promise<Run> {
  const epochs = recipe.EPOCHS[length];
  const { cases: _, ...options } = record(training);
  return train({
    ...recipe.TRAINING,
    optimiser: { kind: 'sgd', learningRate: recipe.LEARNING_RATES[name.network] },
    epochs,
    checkpointEvery: epochs / recipe.CHECKPOINTS,
    seed: name.seed,
    data: { train: training, validation: heldOut, test: test.cases.map((one) => one.case), options: plainJson(options) },
    network: { name: name.network, ...recipe.NETWORK },
    run: recipe.unitPaths(work, name).run(faults, length),
    engine,
    resume: true,
  });
}

function studyOf(
  run: Run,
  out: string,
  definition: DefinitionOptions,
  { train: training, test, record }: Sources,
  engine: Engine,
): Promise<Study> {
  const datasets = { train: plainJson(record(training)), test: plainJson(record(test)) };
  return computeInfluence({
    train: training,
    test,
    networks: { run: run.dir },
    definition,
    datasets,
    out,
    engine,
    resume: true,
  });
}

/** Without what is undefined. */
function plainJson(value: object): Record<string, never> {
  return JSON.parse(JSON.stringify(value)) as Record<string, never>;
}

async function diceOf(run: Run, sources: Sources, engine: Engine): Promise<Condition['dice']> {
  const network = await readOnnx(run.checkpoints.at(-1)!.file);
  const program = await engine.compile(network, { size: [recipe.SIZE, recipe.SIZE] });
  await program.load(network);
  const of = (part: Dataset): Promise<Dice> => evaluateDice(program, part, [...part.slices.keys()], { batch: 8 });
  const dice = { train: await of(sources.train), test: await of(sources.test) };
  program.dispose();
  return dice;
}

async function test(
  study: Study,
  { heldOut }: Sources,
  { seed }: UnitName,
  engine: Engine,
): Promise<Omit<Unit, keyof UnitName | 'conditions'>> {
  const parts = ['correlation', 'ablation', 'retraining'] as const;
  const faithfulness = await testFaithfulness({ study, engine, seed, parts, heldOut, budget: recipe.BUDGET });
  const { retrainings } = faithfulnessPaths(study.dir);
  const halves = await trainHalves({
    study,
    table: await patientTable(study, await readFeatureArrays(study)),
    losses: await retrainedLosses(retrainings),
    subsets: recipe.BUDGET.subsets,
    seeds: recipe.BUDGET.seeds,
    faulty: await plantedPatients(study),
    resampling: { resamples: recipe.BUDGET.resamples, seed },
  });
  const tests = study.tests.slices.map(({ patient }) => patient);
  return { alike: await alikeOf(study), faithfulness, halves, leading: await leadingOf(study), tests };
}

async function alikeOf(study: Study): Promise<Alike[]> {
  const patientOf = new Map(study.tests.slices.map(({ case: name, patient }) => [name, patient]));
  const [, ...rows] = parseCsv(await readFile(faithfulnessPaths(study.dir).correlations, 'utf8'));
  return rows
    .filter((row) => row[5] === 'spearman' && row[6] !== '')
    .map((row): Alike => ({
      patient: patientOf.get(row[0]!)!,
      class: row[2]!,
      influence: row[3]!,
      similarity: row[4]!,
      value: Number(row[6]),
    }));
}

async function testPaper(work: string, name: UnitName, engine: Engine): Promise<PaperUnit> {
  const sources = await openSources(work, 'coarse');
  const paths = recipe.unitPaths(work, name);
  const study = await studyOf(await openRun(paths.run('coarse', 'short')), paths.paperStudy, recipe.PAPER, sources, engine);
  const { heldOut } = sources;
  const { ablation } = await testFaithfulness({ study, engine, seed: name.seed, parts: ['correlation', 'ablation'], heldOut, budget: recipe.BUDGET }); // prettier-ignore
  for (const source of [sources.train, sources.heldOut, sources.test]) await source.close();
  if (!ablation || 'skipped' in ablation) throw new Error(`${study.dir}: ablation was skipped`);
  return { alike: await alikeOf(study), ablation: ablation.classes };
}

async function leadingOf(study: Study): Promise<Leading[]> {
  const found: Leading[] = [];
  const influenced = await influencedRegions(study);
  for (const [row, { patient }] of study.tests.slices.entries()) {
    for (const influence of ['none', 'cosine'] as const) {
      const scores = await influenceOf(study, row, influence);
      for (const [k, name] of study.classes.entries()) {
        if (!influenced[row]![k]) continue;
        const ranked = byFalling(candidatesOf(study, scores, k, [k], 'patient')).map((one) => study.trainings.slices[one.row]!.patient);
        found.push({ patient, class: name, influence, top: ranked.slice(0, recipe.TOP), candidates: ranked.toSorted() });
      }
    }
  }
  return found;
}

/** Typed arrays as arrays; NaN, which JSON has not, as null. */
function plain(_: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : value;
}

const [work, network, seed] = process.argv.slice(2);
testUnit(work!, { network: network as UnitName['network'], seed: Number(seed) }).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
