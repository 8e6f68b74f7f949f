/** What a backward pass visits for the parameters asked for. */
import { planBackward } from '../../../lib/engine/reference/plan';
import { lower } from '../../../lib/graph/lower';
import { smallNetwork } from '../../support/graphs';

const lowered = lower(smallNetwork(), [8, 12]);
const last = lowered.operations[lowered.head]!;

it('the head alone needs no other operation and no gradient of its data', () => {
  const { backward, wanted } = planBackward(lowered, new Set(['head.weight']));
  expect(backward).toEqual([last]);
  expect(last.inputs.map((input) => wanted[input])).toEqual([false, true, false]);
});

it('backward stops at the earliest selected layer and leaves out the branch beside it', () => {
  const { backward, wanted } = planBackward(lowered, new Set(['bottom.norm.scale']));
  const first = lowered.operations.findIndex((o) => o.inputs.some((input) => lowered.values[input]!.name === 'bottom.norm.scale'));
  expect(backward).toEqual(lowered.operations.slice(first).reverse());
  const concat = lowered.operations.find(({ type }) => type === 'Concat')!;
  expect(concat.inputs.map((input) => wanted[input])).toEqual([true, false]);
});

it('the image, running statistics and constants never get a gradient', () => {
  const { backward, wanted } = planBackward(lowered, new Set(lowered.parameters.map(({ name }) => name)));
  expect(backward).toHaveLength(lowered.operations.length);
  expect(wanted[lowered.input]).toBe(false);
  lowered.values.forEach(({ kind }, v) => {
    if (kind === 'statistic' || kind === 'constant') expect(wanted[v]).toBe(false);
    if (kind === 'parameter') expect(wanted[v]).toBe(true);
  });
});
