/** The run trained again without some of its patients, the same seeds and settings; a retraining that is done is never done again. */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SliceSource } from '../dataset/slices';
import { chosenSlices } from '../dataset/views';
import type { Engine, Program } from '../engine/engine';
import { TracinError, throwIfAborted } from '../errors';
import { replaceFile } from '../files';
import { readOnnx } from '../graph/onnx';
import { regionBatches, type Side } from '../influence/batches';
import { regionLoss } from '../influence/definition';
import type { Study } from '../influence/study';
import { readJson, toJson } from '../json';
import { mean } from '../statistics';
import { sha256Of } from '../training/network';
import type { TrainOptions } from '../training/options';
import type { Run } from '../training/run';
import { train } from '../training/train';
import { NETWORKS } from '../../models/registry';

const FORMAT_VERSION = 1;
const REMEDY = 'remove it, it is made again';
const schema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  /** Patients left out. */
  without: z.array(z.string()),
  seed: z.int(),
  /** Of the study's test regions, [M][K]; 0 for absent ones. */
  losses: z.array(z.array(z.number())),
});

export interface RetrainerOptions {
  readonly study: Study;
  readonly run: Run;
  readonly engine: Engine;
  /** Slices the run was trained on. */
  readonly train: SliceSource;
  readonly test: Side;
  /** Compiled for the network. */
  readonly program: Program;
  readonly folder: string;
  /** Retrainings of each set, by the run's own seed and the ones after it; losses are means over them. */
  readonly seeds: number;
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
  /** Share of the retraining in progress, 0 to 1; 1 when done. */
  readonly onShare: (share: number) => void;
}

/**
 * The network a run began with: of the zoo, or the file it was read from.
 * @throws ERR_TRACIN_IO a file that is no more; ERR_TRACIN_CHECKPOINT one that has changed since
 */
export async function startOf({ dir, network: { name, width, levels, sha256 } }: Run): Promise<TrainOptions['network']> {
  if ((NETWORKS as readonly string[]).includes(name)) return { name, width, levels };
  const graph = await readOnnx(name);
  if ((await sha256Of(graph)) === sha256) return graph;
  throw new TracinError('ERR_TRACIN_CHECKPOINT', `${name} is not the network any more that ${dir} began with: put that one back`);
}

/**
 * The losses [M · K] of retrainings that are done, by the patients left out, mean over seeds.
 * @param folder that a {@link Retrainer} wrote for one study
 * @throws ERR_TRACIN_STUDY when asked about patients that were never left out together
 */
export async function retrainedLosses(folder: string): Promise<(without: readonly string[]) => Promise<Float64Array>> {
  const known = new Map<string, Float64Array[]>();
  for (const name of await readdir(folder)) {
    const one = name.endsWith('.json') && (await readJson(join(folder, name), schema, FORMAT_VERSION, REMEDY));
    if (one) known.set(one.without.join(), [...(known.get(one.without.join()) ?? []), Float64Array.from(one.losses.flat())]);
  }
  return async (without) => {
    const found = known.get([...without].sort().join());
    if (found) return meanOf(found);
    throw new TracinError('ERR_TRACIN_STUDY', `${folder} holds no retraining without ${without.length} of these patients: test the study`);
  };
}

function meanOf(losses: readonly Float64Array[]): Float64Array {
  return losses[0]!.map((_, region) => mean(losses.map((one) => one[region]!)));
}

export class Retrainer {
  readonly #options: RetrainerOptions;
  readonly #network: TrainOptions['network'];

  private constructor(options: RetrainerOptions, network: TrainOptions['network']) {
    this.#options = options;
    this.#network = network;
  }

  /** @throws as {@link startOf} */
  static async open(options: RetrainerOptions): Promise<Retrainer> {
    return new Retrainer(options, await startOf(options.run));
  }

  /** Training patients. */
  get patients(): readonly string[] {
    return [...new Set(this.#options.train.slices.map(({ patient }) => patient))];
  }

  /** Losses of the study's test regions after training without some patients, [M · K], mean over seeds. */
  async losses(without: readonly string[]): Promise<Float64Array> {
    const { seeds, run } = this.#options;
    const found: Float64Array[] = [];
    for (let i = 0; i < seeds; i++) found.push(await this.#once([...without].sort(), run.training.seed + i));
    return meanOf(found);
  }

  async #once(without: readonly string[], seed: number): Promise<Float64Array> {
    const { run, study, folder, engine, signal, onShare } = this.#options;
    throwIfAborted(signal);
    const deciding = { training: { ...run.training, seed }, network: run.network, without, engine: engine.name, data: run.data.train, tests: study.tests, study: study.record.definition }; // prettier-ignore
    const id = createHash('sha256').update(toJson(deciding)).digest('hex').slice(0, 16);
    const path = join(folder, `${id}.json`);
    const known = await readJson(path, schema, FORMAT_VERSION, REMEDY);
    if (known) {
      onShare(1);
      return Float64Array.from(known.losses.flat());
    }
    const isRun = without.length === 0 && seed === run.training.seed && run.finished;
    const losses = isRun ? await this.#measure(run.checkpoints.at(-1)!.file) : await this.#train(join(folder, id), without, seed);
    const classes = study.classes.length;
    const rows = study.tests.slices.map((_, row) => [...losses.subarray(row * classes, (row + 1) * classes)]);
    await replaceFile(
      path,
      toJson({ formatVersion: FORMAT_VERSION, without: [...without], seed, losses: rows } satisfies z.infer<typeof schema>),
    );
    await rm(join(folder, id), { recursive: true, force: true });
    onShare(1);
    return losses;
  }

  async #train(dir: string, without: readonly string[], seed: number): Promise<Float64Array> {
    const { train: source, run, engine, signal, onShare } = this.#options;
    const left = new Set(without);
    const positions = source.slices.flatMap(({ patient }, position) => (left.has(patient) ? [] : [position]));
    const { epochs } = run.training;
    const retrained = await train({
      ...run.training,
      seed,
      checkpointEvery: epochs,
      data: { train: chosenSlices(source, positions) },
      network: this.#network,
      run: dir,
      engine,
      resume: true,
      signal,
      onProgress: ({ done, total }) => onShare(Math.min(0.999, done / total)),
    });
    return this.#measure(retrained.checkpoints.at(-1)!.file);
  }

  /** Losses [M · K] of a checkpoint, over the regions of the study. */
  async #measure(file: string): Promise<Float64Array> {
    const { program, test, study, batch, signal } = this.#options;
    await program.load(await readOnnx(file));
    const tests = study.tests.slices.length;
    const losses = new Float64Array(tests * study.classes.length);
    for await (const part of regionBatches(test, study.definition, { start: 0, end: tests }, batch, signal)) {
      const found = await program.contract(undefined, part, regionLoss(study.definition), { signal });
      losses.set(found.losses, part.start * study.classes.length);
    }
    const wrong = losses.findIndex((loss) => !Number.isFinite(loss));
    if (wrong >= 0)
      throw new TracinError(
        'ERR_TRACIN_CHECKPOINT',
        `${file}: a test region has a loss that is not finite: retrain at a lower learning rate`,
      );
    return losses;
  }
}
