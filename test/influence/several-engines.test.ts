import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine, Program } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { TracinError } from '../../lib/errors';
import { computeInfluence, type InfluenceOptions } from '../../lib/influence/run';
import { arraysOf } from './support/runs';
import { openTiny, type Tiny } from './support/tiny';

let tiny: Tiny;
let folder: string;

beforeAll(async () => {
  tiny = await openTiny(3, 12);
  folder = await mkdtemp(join(tmpdir(), 'tracin-several-'));
});
afterAll(async () => {
  await tiny.close();
  await rm(folder, { recursive: true, force: true });
});

const settings = (out: string, engine: InfluenceOptions['engine']): InfluenceOptions => ({
  train: tiny.train,
  test: tiny.test,
  networks: tiny.networks,
  definition: { region: 'truth' },
  batch: 2,
  engine,
  out: join(folder, out),
});

/** An engine that counts the batches it contracts with resident gradients, and what happens at each. */
function watched(before: (batches: number, signal: AbortSignal | undefined) => void | Promise<void> = () => undefined) {
  const seen = { batches: 0, disposed: 0 };
  const engine: Engine = {
    ...openReferenceEngine(),
    async compile(graph, options): Promise<Program> {
      const program = await openReferenceEngine().compile(graph, options);
      const contract = program.contract.bind(program);
      const dispose = program.dispose.bind(program);
      program.contract = async (block, batch, loss, call) => {
        if (block) await before(++seen.batches, call?.signal);
        return contract(block, batch, loss, call);
      };
      program.dispose = () => {
        seen.disposed++;
        dispose();
      };
      return program;
    },
  };
  return { engine, seen };
}

const bytes = (out: string): Promise<Record<string, string>> => arraysOf(join(folder, out));

it.each([1, 2, 3])('%i engines share the training slices and give the same bytes', async (count) => {
  const engines = Array.from({ length: count }, () => watched());
  const study = await computeInfluence(
    settings(
      `shared-by-${count}`,
      engines.map(({ engine }) => engine),
    ),
  );
  expect(study.record.engine.device).toBe(engines.map(() => 'reference').join());
  // 12 slices in batches of 2 at 2 checkpoints
  expect(engines.map(({ seen }) => seen)).toEqual(engines.map(() => ({ batches: 12 / count, disposed: 1 })));
  expect(await bytes(`shared-by-${count}`)).toEqual(await bytes('shared-by-1'));
});

it('the failure of one stops the others and is what is told; what was finished is gone on with', async () => {
  const lost = new TracinError('ERR_TRACIN_ENGINE', 'the device fell off the bus');
  // each has three batches at the first checkpoint
  let stopped: AbortSignal | undefined;
  let arrive!: () => void;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const failing = watched(async (batches) => {
    if (batches < 5) return;
    await arrived;
    throw lost;
  });
  const other = watched(async (batches, signal) => {
    if (batches < 5) return;
    stopped = signal;
    arrive();
    // the next batch is handed over already: its turn may come after the abort
    if (!signal!.aborted) await new Promise((resolve) => signal!.addEventListener('abort', resolve));
  });
  await expect(computeInfluence(settings('failing', [failing.engine, other.engine]))).rejects.toBe(lost);
  expect(stopped?.aborted).toBe(true);
  expect([failing.seen.disposed, other.seen.disposed]).toEqual([1, 1]);

  const healthy = watched();
  await computeInfluence({ ...settings('failing', healthy.engine), resume: true });
  expect(healthy.seen.batches).toBe(6);
  expect(await bytes('failing')).toEqual(await bytes('shared-by-1'));
});
