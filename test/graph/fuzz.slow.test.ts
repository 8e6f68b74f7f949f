/** Ten thousand damaged files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serialiseOnnx } from '../../lib/graph/onnx';
import { damagedNetworks, damagedStateDicts, zooNetwork } from '../support/damaged';

const QUARTER_HOUR = 900_000;
const stored = (name: string): Promise<Buffer> => readFile(join(__dirname, '../networks', name, 'checkpoint-1.onnx'));

test(
  'mutations of our own network',
  async () => {
    const outcomes = await damagedNetworks(serialiseOnnx(zooNetwork('attention-unet')), [8, 8], 4000, 21);
    expect(outcomes.read + outcomes.refused).toBe(4000);
  },
  QUARTER_HOUR,
);

// Arithmetic on shapes, weights computed in the graph, transposed kernels.
test.each(['group-norm', 'keras', 'dynamo-swin'])(
  'mutations of %s',
  async (name) => {
    const outcomes = await damagedNetworks(await stored(name), [24, 32], 1000, 22);
    expect(outcomes.refused).toBeGreaterThan(100);
  },
  QUARTER_HOUR,
);

test(
  'mutations of a state dict',
  async () => {
    const outcomes = await damagedStateDicts(3000, 23);
    expect(outcomes.refused).toBeGreaterThan(1000);
  },
  QUARTER_HOUR,
);
