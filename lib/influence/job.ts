/** What an influence is asked of, opened and checked: sources, networks, the compiled program, and what the folder holds of it. */
import { relative, resolve } from 'node:path';
import type { SliceSource } from '../dataset/slices';
import { noSlices } from '../dataset/views';
import type { Block, Engine, KernelTable, Program } from '../engine/engine';
import { takeFastestKernels } from '../engine/kernels';
import { engineRecord } from '../engine/record';
import { throwIfAborted } from '../errors';
import { selectParameters } from '../graph/parameters';
import { openInference } from '../inference/inference';
import { plainOutput, programPredictor, type Predictor } from '../inference/predictor';
import type { OnProgress } from '../progress';
import { VERSION } from '../version';
import type { Role } from './batches';
import { checkSources, matchNetwork } from './checks';
import { resolveDefinition, type Definition, type DefinitionOptions } from './definition';
import { FORMAT_VERSION, type StudyFile } from './folder';
import { resolveNetworks, type Networks, type NetworkSource } from './networks';
import type { InfluencePlan } from './plan';
import { readPainting, type PaintedRegions, type Painting } from './region-mask';
import { assertSameStudy, standingOf, type Standing } from './resume';

/** The networks, slices and definition that influence is computed of, where to, and with what. */
export interface InfluenceOptions {
  readonly train: SliceSource;
  /** `none`: no scores, but norms (self-influence) and losses of the training regions, in one pass without resident gradients. */
  readonly test: SliceSource | 'none';
  readonly networks: NetworkSource;
  /** Name of the network's output that is taken as logits; the first one of full size when absent. */
  readonly output?: string | undefined;
  /** Regions painted on the test slices, in place of those of the definition. */
  readonly regionMask?: PaintedRegions | undefined;
  /** The paper's text by default: Dice over predicted regions, all parameters. */
  readonly definition?: DefinitionOptions | undefined;
  /** Study folder. */
  readonly out: string;
  /** Several of one kind, such as the GPUs of a machine, share the training slices; which computes what changes no number. */
  readonly engine: Engine | readonly Engine[];
  /**
   * Bytes of this process, or on each device of its own memory; a share of what is free when absent. More test slices than fit mean more
   * passes over the training slices.
   */
  readonly memory?: number | undefined;
  /** Test slices whose gradients are kept at once, at most; as many as fit when absent. */
  readonly resident?: number | undefined;
  /** Slices computed together; chosen when absent. */
  readonly batch?: number | undefined;
  /** Go on with an unfinished study of the same definition, networks and data; starts one where there is none. */
  readonly resume?: boolean | undefined;
  /** Names of the foreground classes in label order, in place of the sources'. */
  readonly classes?: readonly string[] | undefined;
  /** How the sources can be opened again, kept in study.json as given. */
  readonly datasets?: Readonly<Partial<Record<Role, StudyFile['datasets']['test']['options']>>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Stages `regions`, `influence` (both in slices) and `writing` (in files). */
  readonly onProgress?: OnProgress | undefined;
  /** Told before anything is written, once the first slices are computed: memory, passes, disk, and the time that the others take. */
  readonly onPlan?: ((plan: InfluencePlan) => void) | undefined;
  /** One line each, for people. */
  readonly onNotice?: ((line: string) => void) | undefined;
}

type Sources = Readonly<Record<Role, SliceSource>>;

export interface Job {
  /** Absolute. */
  readonly out: string;
  readonly definition: Definition;
  readonly networks: Networks;
  readonly sources: Sources;
  readonly painting: Painting | undefined;
  /** One for each engine. */
  readonly programs: readonly Program[];
  readonly standing: Standing;
  /** As the study was begun, or would be. */
  readonly record: StudyFile;
  readonly predictor: KeptPredictor;
  /** Resident gradients that go with the job, if not before. */
  readonly blocks: Block[];
  close(): Promise<void>;
}

/** Opened when it is first asked for, and open until it is closed: calibration and the first stage share it. */
export interface KeptPredictor {
  open(): Promise<Predictor>;
  close(): Promise<void>;
}

function keptPredictor(open: () => Promise<Predictor>): KeptPredictor {
  let kept: Promise<Predictor> | undefined;
  return {
    open: () => (kept ??= open()),
    async close() {
      const predictor = await kept?.catch(() => undefined); // told to who opened it
      kept = undefined;
      await predictor?.close();
    },
  };
}

/**
 * @param resume whether an unfinished study in the folder is gone on with
 * @throws as `computeInfluence`
 */
export async function openJob(options: InfluenceOptions, resume: boolean): Promise<Job> {
  const { signal, output, regionMask, onNotice } = options;
  const engines = [options.engine].flat();
  const out = resolve(options.out);
  const definition = resolveDefinition(options.definition);
  const given = { train: options.train, test: options.test === 'none' ? noSlices(options.train) : options.test };
  checkSources(given, definition, { self: options.test === 'none', painted: regionMask !== undefined && regionMask.class === undefined });
  const standing = await standingOf(out, resume);
  const { size } = options.train;
  const networks = await resolveNetworks(options.networks, definition.learningRates, { size, output, signal });
  const { graph, lowered } = networks;
  networks.notices.forEach((line) => onNotice?.(line));
  const { train, test } = matchNetwork(given, lowered, graph.source, options.classes);
  const maskFile = regionMask?.file === undefined ? null : relative(out, regionMask.file);
  const painting = regionMask && (await readPainting(regionMask, test, maskFile, signal));
  const sources = { train, test: painting?.source ?? test };
  throwIfAborted(signal);
  const programs: Program[] = [];
  const blocks: Block[] = [];
  const predictor = keptPredictor(() => predictorOf(networks, programs[0]!, engineRecord(options.engine)));
  const close = async (): Promise<void> => {
    await predictor.close();
    blocks.forEach((block) => block.dispose());
    programs.forEach((program) => program.dispose());
  };
  const job = { out, definition, networks, sources, painting, programs, predictor, blocks, close };
  try {
    const parameters = selectParameters(lowered, definition.parameters);
    for (const engine of engines) programs.push(await engine.compile(graph, { size, output, parameters }));
    const fastest = () => takeFastestKernels(programs[0]!, engines[0]!, (line) => onNotice?.(line));
    const kernels = standing.state === 'new' ? await fastest() : standing.record.kernels;
    await takeKernels(programs, kernels);
    const asked = await recordOf(options, job, kernels);
    if (standing.state !== 'new') assertSameStudy(out, standing.record, asked);
    const record = standing.state === 'new' ? asked : standing.record;
    const { description } = asked.engine;
    if (record.engine.description !== description) {
      onNotice?.(`begun on ${record.engine.description}, resumed on ${description}: last digits may differ`);
    }
    return { ...job, standing, record };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param kernels those a study was begun with, if any */
export async function takeKernels(programs: readonly Program[], kernels: KernelTable | undefined): Promise<void> {
  for (const program of kernels ? programs : []) await program.chooseKernels(kernels!, false);
}

async function recordOf(
  { engine, datasets, output }: InfluenceOptions,
  {
    out,
    definition,
    networks: { checkpoints, network },
    sources: { test, train },
    painting,
    programs: [program],
  }: Omit<Job, 'standing' | 'record'>,
  kernels: KernelTable | undefined,
): Promise<StudyFile> {
  const dataset = async (source: SliceSource, role: Role): Promise<StudyFile['datasets']['test']> => {
    const reopen = datasets?.[role];
    return { fingerprint: await source.fingerprint(), ...(reopen === undefined ? {} : { options: reopen }) };
  };
  return {
    formatVersion: FORMAT_VERSION,
    tool: `tracin-seg ${VERSION}`,
    engine: engineRecord(engine),
    ...(kernels && { kernels }),
    definition,
    classes: [...train.classes],
    checkpoints: checkpoints.map((checkpoint) => ({ ...checkpoint, file: relative(out, checkpoint.file) })),
    parameters: program!.parameters.map(({ name }) => name),
    parameterCount: program!.parameterCount,
    size: [...train.size],
    modalities: [...train.modalities],
    ...(network && { network: { ...network, file: relative(out, network.file) } }),
    ...(output !== undefined && { output }),
    ...(painting && { regionMask: painting.record }),
    datasets: { test: await dataset(test, 'test'), train: await dataset(train, 'train') },
  };
}

/**
 * The last checkpoint, which says what is predicted: by a native engine itself, for its kernels outdo onnxruntime's and what goes forward is
 * float32 in every precision; else by onnxruntime, where an output of the network is what it needs.
 */
async function predictorOf(
  { checkpoints, graph, lowered, read, network }: Networks,
  program: Program,
  { name }: StudyFile['engine'],
): Promise<Predictor> {
  const last = checkpoints.at(-1)!;
  const output = plainOutput(graph, lowered);
  if (output !== undefined && name === 'reference') return openInference(network ? await read(last) : last.file, { output });
  await program.load(await read(last));
  return programPredictor(program, graph.source, output === undefined ? undefined : 'fast');
}
