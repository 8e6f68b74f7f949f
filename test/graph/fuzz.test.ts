/** Damaged files end in one line or in a network, never in anything else, and take no longer than whole ones. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { TracinError } from '../../lib/errors';
import { lower, strideOf } from '../../lib/graph/lower';
import { parseOnnx, serialiseOnnx } from '../../lib/graph/onnx';
import { buildNetwork } from '../../models/registry';

const SECONDS = 5;

function mutate(whole: Uint8Array, below: (limit: number) => number): Uint8Array {
  let bytes = Uint8Array.from(whole);
  for (let change = 0; change <= below(2); change++) {
    const at = below(bytes.length);
    switch (below(5)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at]! ^= 1 << below(8);
        break;
      case 2:
        bytes = bytes.subarray(0, Math.max(1, at));
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(8))]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length)).subarray(0, 1 + below(40)), bytes.subarray(at)]);
    }
    if (bytes.length === 0) return bytes;
  }
  return bytes;
}

test.each(['unet', 'attention-unet'] as const)('mutations of %s', (network) => {
  const whole = serialiseOnnx(buildNetwork({ network, width: 3, levels: 2, modalities: 1, classes: 2 }));
  const random = xoroshiro128plus(11);
  const below = (limit: number): number => uniformInt(random, 0, limit - 1);
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < 400; i++) {
    const bytes = mutate(whole, below);
    const started = performance.now();
    try {
      const graph = parseOnnx(bytes, 'mutated.onnx');
      lower(graph, [8, 8]);
      strideOf(graph);
      serialiseOnnx(graph);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof TracinError)) throw new Error(`mutation ${i}: ${(error as Error).stack}`, { cause: error });
      expect(error.code).toMatch(/^ERR_TRACIN_(GRAPH|USAGE)$/);
      outcomes.refused++;
    }
    expect(performance.now() - started).toBeLessThan(SECONDS * 1000);
  }
  expect(outcomes.read).toBeGreaterThan(40);
  expect(outcomes.refused).toBeGreaterThan(40);
});
