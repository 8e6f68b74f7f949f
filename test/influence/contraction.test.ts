/** How the engine is fed: it need not wait for slices, and few are held. */
import { join } from 'node:path';
import type { SliceSource } from '../../lib/dataset/slices';
import { chosenSlices } from '../../lib/dataset/views';
import type { Engine, Program } from '../../lib/engine/engine';
import { openReferenceEngine } from '../../lib/engine/reference';
import { computeInfluence } from '../../lib/influence/run';
import { openTiny, type Tiny } from './support/tiny';

const BATCH = 4;
const TRAININGS = 68;

let tiny: Tiny;
beforeAll(async () => void (tiny = await openTiny(8, TRAININGS)));
afterAll(() => tiny.close());

test('training slices are read while those of the test are made resident, the next batch waits in the engine, and three are held at most', async () => {
  // The first stage, which measures regions, reads all of them once; what is read beyond that is for the engine.
  let read = -TRAININGS;
  let contracted = 0;
  let inEngine = 0;
  const seen = { beforeAppend: [] as number[], inEngine: [] as number[], held: [] as number[] };
  const train: SliceSource = {
    ...chosenSlices(tiny.train, [...tiny.train.slices.keys()]),
    read: (positions, options) => {
      read += positions.length;
      if (read > 0) seen.held.push((read - contracted) / BATCH);
      return tiny.train.read(positions, options);
    },
  };
  const engine: Engine = {
    ...openReferenceEngine(),
    async compile(graph, options): Promise<Program> {
      const program = await openReferenceEngine().compile(graph, options);
      const [contract, resident] = [program.contract.bind(program), program.resident.bind(program)];
      program.contract = async (block, batch, loss, call) => {
        seen.inEngine.push(++inEngine);
        const found = await contract(block, batch, loss, call);
        inEngine--;
        contracted += BATCH;
        return found;
      };
      program.resident = async (capacity) => {
        const block = await resident(capacity);
        const append = block.append.bind(block);
        block.append = async (...words) => {
          const norms = await append(...words);
          seen.beforeAppend.push(read - contracted);
          return norms;
        };
        return block;
      };
      return program;
    },
  };
  await computeInfluence({
    train,
    test: tiny.test,
    networks: tiny.networks,
    definition: { region: 'truth' },
    batch: BATCH,
    engine,
    out: join(tiny.dir, 'study'),
  });
  expect(read).toBe(2 * TRAININGS);
  expect(contracted).toBe(2 * TRAININGS);
  // The first six test slices are appended before anything is read; of the others, and of all at the second checkpoint, it is as said.
  expect(seen.beforeAppend).toEqual([-TRAININGS, -TRAININGS, BATCH, BATCH, BATCH]);
  expect(Math.max(...seen.inEngine)).toBe(2);
  expect(Math.max(...seen.held)).toBeLessThanOrEqual(3);
});
