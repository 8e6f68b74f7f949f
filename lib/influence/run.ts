/** Computes T[i, j] between every class region of the test and the training slices, into a study folder. */
import { rm } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import type { SliceSource } from '../dataset/slices';
import type { Engine, Program } from '../engine/engine';
import { sizeOf } from '../engine/layout';
import { engineRecord } from '../engine/record';
import { throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { toJson } from '../json';
import { selectParameters } from '../graph/parameters';
import { openInference } from '../inference/inference';
import { plainOutput, programPredictor, type Predictor } from '../inference/predictor';
import { openNpy, writeNpy, type NpyFile } from '../npy';
import type { OnProgress } from '../progress';
import { VERSION } from '../version';
import { arrayCount, assemble } from './assemble';
import type { Role, Side } from './batches';
import { checkSources, matchNetwork } from './checks';
import { contractAll } from './contraction';
import { needsPrediction, resolveDefinition, type Definition, type DefinitionOptions } from './definition';
import { FORMAT_VERSION, studyPaths, type StudyFile } from './folder';
import { resolveNetworks, type Networks, type NetworkSource } from './networks';
import { planInfluence, type InfluencePlan } from './plan';
import { prepareRegions } from './prepare';
import { readPainting, type PaintedRegions, type Painting } from './region-mask';
import { assertSameStudy, beginStudy, standingOf, sweep } from './resume';
import { openStudy, type Study } from './study';

export interface InfluenceOptions {
  readonly train: SliceSource;
  readonly test: SliceSource;
  readonly networks: NetworkSource;
  /** Name of the network's output that is taken as logits; the first one of full size when absent. */
  readonly output?: string | undefined;
  /** Regions painted on the test slices, in place of those of the definition. */
  readonly regionMask?: PaintedRegions | undefined;
  /** The paper's text by default: Dice over predicted regions, all parameters. */
  readonly definition?: DefinitionOptions | undefined;
  /** Study folder. */
  readonly out: string;
  readonly engine: Engine;
  /** Bytes; more than half of what is free when absent. More test slices than fit mean more passes over the training slices. */
  readonly memory?: number | undefined;
  /** Slices computed together; chosen when absent. */
  readonly batch?: number | undefined;
  /** Go on with an unfinished study of the same definition, networks and data; starts one where there is none. */
  readonly resume?: boolean | undefined;
  /** Names of the foreground classes in label order, in place of the sources'. */
  readonly classes?: readonly string[] | undefined;
  /** How the sources can be opened again, kept in study.json as given. */
  readonly datasets?: Readonly<Partial<Record<Role, StudyFile['datasets']['test']['options']>>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `regions`, `influence` (both in slices) and `writing` (in arrays). */
  readonly onProgress?: OnProgress | undefined;
  /** Told before the work starts: memory, passes, disk. */
  readonly onPlan?: ((plan: InfluencePlan) => void) | undefined;
  /** One line each, for people. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

/**
 * Killed or interrupted at any point, the folder is unfinished but whole, and `resume` ends with the same bytes.
 * @throws ERR_TRACIN_USAGE, ERR_TRACIN_DATA, ERR_TRACIN_CHECKPOINT for options, data or networks that do not go together;
 *   ERR_TRACIN_MEMORY when not one test slice fits; ERR_TRACIN_STUDY when the folder holds a study already or another one
 */
export async function computeInfluence(options: InfluenceOptions): Promise<Study> {
  const { engine, signal, output, regionMask } = options;
  const out = resolve(options.out);
  const definition = resolveDefinition(options.definition);
  checkSources(options, definition, regionMask !== undefined && regionMask.class === undefined);
  const standing = await standingOf(out, options.resume ?? false);
  const { size } = options.train;
  const networks = await resolveNetworks(options.networks, definition.learningRates, { size, output, signal });
  const { graph, lowered } = networks;
  networks.notices.forEach((line) => options.onNotice?.(line));
  const { train, test } = matchNetwork(options, lowered, graph.source, options.classes);
  const maskFile = regionMask?.file === undefined ? null : relative(out, regionMask.file);
  const painting = regionMask && (await readPainting(regionMask, test, maskFile, signal));
  const sources = { train, test: painting?.source ?? test };
  throwIfAborted(signal);
  const program = await engine.compile(graph, { size, output, parameters: selectParameters(lowered, definition.parameters) });
  try {
    const asked = await recordOf(options, sources, out, definition, networks, program, painting);
    if (standing.state !== 'new') assertSameStudy(out, standing.record, asked);
    const record = standing.state === 'new' ? asked : standing.record;
    if (standing.state !== 'complete') {
      if (record.engine.description !== engine.description) {
        options.onNotice?.(`begun on ${record.engine.description}, resumed on ${engine.description}: last digits may differ`);
      }
      const plan = planInfluence({
        checkpoints: networks.checkpoints.length,
        tests: sources.test.slices.length,
        trainings: sources.train.slices.length,
        classes: record.classes.length,
        modalities: sources.train.modalities.length,
        pixels: sizeOf(size),
        program: program.memory,
        checkpointFile: networks.largestFile,
        memory: options.memory,
        batch: options.batch,
        layout: standing.state === 'unfinished' ? standing.layout : undefined,
      });
      options.onPlan?.(plan);
      await sweep(out);
      if (standing.state === 'new') await beginStudy(out, record, plan);
      await compute(options, sources, out, record, definition, networks, program, plan, painting);
    }
  } finally {
    program.dispose();
  }
  await rm(studyPaths(out).tiles, { recursive: true, force: true });
  return openStudy(out);
}

type Sources = Readonly<Record<Role, SliceSource>>;

async function recordOf(
  { engine, datasets, output }: InfluenceOptions,
  { test, train }: Sources,
  out: string,
  definition: Definition,
  { checkpoints, network }: Networks,
  program: Program,
  painting: Painting | undefined,
): Promise<StudyFile> {
  const dataset = async (source: SliceSource, role: Role): Promise<StudyFile['datasets']['test']> => {
    const reopen = datasets?.[role];
    return { fingerprint: await source.fingerprint(), ...(reopen === undefined ? {} : { options: reopen }) };
  };
  return {
    formatVersion: FORMAT_VERSION,
    tool: `tracin-seg ${VERSION}`,
    engine: engineRecord(engine),
    definition,
    classes: [...train.classes],
    checkpoints: checkpoints.map((checkpoint) => ({ ...checkpoint, file: relative(out, checkpoint.file) })),
    parameters: program.parameters.map(({ name }) => name),
    parameterCount: program.parameterCount,
    size: [...train.size],
    modalities: [...train.modalities],
    ...(network && { network: { ...network, file: relative(out, network.file) } }),
    ...(output !== undefined && { output }),
    ...(painting && { regionMask: painting.record }),
    datasets: { test: await dataset(test, 'test'), train: await dataset(train, 'train') },
  };
}

/** The last checkpoint, which says what is predicted. */
async function predictorOf({ checkpoints, graph, lowered, read, network }: Networks, program: Program): Promise<Predictor> {
  const last = checkpoints.at(-1)!;
  const output = plainOutput(graph, lowered);
  if (output !== undefined) return openInference(network ? await read(last) : last.file, { output });
  await program.load(await read(last));
  return programPredictor(program, graph.source);
}

async function compute(
  { signal, onProgress, onNotice = () => undefined }: InfluenceOptions,
  sources: Sources,
  out: string,
  record: StudyFile,
  definition: Definition,
  networks: Networks,
  program: Program,
  plan: InfluencePlan,
  painting: Painting | undefined,
): Promise<void> {
  const paths = studyPaths(out);
  const { checkpoints } = networks;
  const painted = painting?.painted;
  if (painted) await writeNpy(paths.painted, [painted.length, ...record.size], Buffer.concat(painted.map(({ mask }) => mask)));
  const counter = (stage: string, total: number): ((more?: number) => void) => {
    let done = 0;
    return (more = 1) => onProgress?.({ stage, done: Math.min((done += more), total), total });
  };
  await prepareRegions({
    sources,
    definition,
    classes: record.classes,
    painted,
    openPredictor: () => predictorOf(networks, program),
    batch: plan.batch,
    out,
    signal,
    onSlices: counter('regions', plan.tests + plan.trainings),
    onNotice,
  });
  const predicted: Partial<Record<Role, NpyFile>> = {};
  try {
    if (needsPrediction(definition)) {
      for (const role of ['test', 'train'] as const) predicted[role] = await openNpy(paths.predicted(role));
    }
    const sides: Record<Role, Side> = {
      test: { role: 'test', source: sources.test, predicted: predicted.test, painted },
      train: { role: 'train', source: sources.train, predicted: predicted.train },
    };
    const onSlices = counter('influence', plan.slicesToCompute);
    await contractAll({ program, networks, sides, definition, plan, out, signal, onSlices });
  } finally {
    for (const file of Object.values(predicted)) await file.close();
  }
  const learningRates = checkpoints.map(({ learningRate }) => learningRate);
  await assemble({ out, plan, learningRates, signal, onArray: counter('writing', arrayCount(plan)) });
  await replaceFile(paths.study, toJson(record));
}
