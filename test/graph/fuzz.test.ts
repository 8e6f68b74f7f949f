/** Damaged files end in one line or in a network, never in anything else, and take no longer than whole ones. Many more: fuzz.slow.test.ts. */
import { serialiseOnnx } from '../../lib/graph/onnx';
import { damagedNetworks, damagedStateDicts, zooNetwork } from '../support/damaged';

test.each(['unet', 'attention-unet'] as const)('mutations of %s', async (network) => {
  const outcomes = await damagedNetworks(serialiseOnnx(zooNetwork(network)), [8, 8], 400, 11);
  expect(outcomes.read).toBeGreaterThan(40);
  expect(outcomes.refused).toBeGreaterThan(40);
});

test('mutations of a state dict', async () => {
  const outcomes = await damagedStateDicts(400, 12);
  expect(outcomes.read).toBeGreaterThan(10);
  expect(outcomes.refused).toBeGreaterThan(100);
});
