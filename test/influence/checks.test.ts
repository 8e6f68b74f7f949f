import type { SliceSource } from '../../lib/dataset/slices';
import { lower } from '../../lib/graph/lower';
import { checkSources, matchNetwork } from '../../lib/influence/checks';
import { resolveDefinition } from '../../lib/influence/definition';
import { MODALITIES, SIZE, tinyNetwork } from './support/tiny';

const lowered = lower(tinyNetwork(1), SIZE);
const slice = { case: 'a', patient: 'a', index: 0 };

/** What is asked of a source before it is read. */
function described(changed: Partial<SliceSource> = {}): SliceSource {
  const modalities = Array.from({ length: MODALITIES }, (_, i) => `m${i}`);
  return { classes: ['NCR', 'ED', 'ET'], modalities, size: SIZE, slices: [slice], labelled: true, ...changed } as SliceSource;
}

const names = (test: Partial<SliceSource>, train: Partial<SliceSource>, given?: string[]): (readonly string[])[] => {
  const matched = matchNetwork({ test: described(test), train: described(train) }, lowered, 'net.onnx', given);
  return [matched.test.classes, matched.train.classes];
};

describe('class names', () => {
  test('are those of the data', () => {
    expect(names({}, {})).toEqual([
      ['NCR', 'ED', 'ET'],
      ['NCR', 'ED', 'ET'],
    ]);
  });

  test('that are mere numbers count as many as the network has, whichever labels occur', () => {
    const all = ['1', '2', '3'];
    expect(names({ classes: [] }, { classes: ['1', '2'] })).toEqual([all, all]);
  });

  test('may be given', () => {
    const given = ['a', 'b', 'c'];
    expect(names({ classes: ['1'] }, {}, given)).toEqual([given, given]);
  });

  test.each<[string, Partial<SliceSource>, Partial<SliceSource>, string[] | undefined]>([
    ['tells 3 foreground classes apart, the data has 2 (ED, ET)', {}, { classes: ['ED', 'ET'] }, undefined],
    ['the data has 4 (1, 2, 3, 4)', { classes: ['1', '2', '3', '4'] }, {}, undefined],
    ['test slices have classes 1, 2, 3, training slices NCR, ED, ET', { classes: ['1'] }, {}, undefined],
    ['class names a, a, b: give 3 different ones', {}, {}, ['a', 'a', 'b']],
    ['takes 2 modalities, the data has 1 (t1)', {}, { modalities: ['t1'] }, undefined],
  ])('are refused: %s', (message, test, train, given) => {
    expect(() => names(test, train, given)).toThrow(message);
  });
});

test.each<[string, Partial<SliceSource>, Partial<SliceSource>]>([
  ['there are no test slices', { slices: [] }, {}],
  ['there are no training slices', {}, { slices: [] }],
  ['test slices have size 8, 8, training slices 6, 5', { size: [8, 8] }, {}],
  ['test slices have modalities t1, t2, training slices m0, m1', { modalities: ['t1', 't2'] }, {}],
])('sides that do not go together: %s', (message, test, train) => {
  const check = (): void => checkSources({ test: described(test), train: described(train) }, resolveDefinition(), {});
  expect(check).toThrow(expect.objectContaining({ code: 'ERR_TRACIN_DATA', message: expect.stringContaining(message) as string }) as Error);
});
