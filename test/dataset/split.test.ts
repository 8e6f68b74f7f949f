import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { readSplit, splitByPatient, writeSplit } from '../../lib/dataset/split';
import { stringMatching, temporaryFolder } from './support';

const dir = temporaryFolder();
const share = fc.double({ min: 0, max: 1, noNaN: true });
const cases = fc
  .array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 40 })
  .map((scans) =>
    scans.flatMap((n, patient) => Array.from({ length: n }, (_, scan) => ({ case: `c${patient}_${scan}`, patient: `p${patient}` }))),
  );

test('every case is in one part, no patient in two, no asked part empty, the order given does not matter', () => {
  fc.assert(
    fc.property(cases, share, share, fc.nat(), (all, a, b, seed) => {
      const train = a;
      const validation = (1 - a) * b;
      const shares = { train, validation, test: 1 - train - validation };
      fc.pre(shares.test >= 0);
      const split = splitByPatient(all, { ...shares, seed });
      expect([...split.train, ...split.validation, ...split.test].sort()).toEqual(all.map((one) => one.case).sort());
      const patientOf = new Map(all.map((one) => [one.case, one.patient]));
      const seen = (['train', 'validation', 'test'] as const).map((part) => new Set(split[part].map((name) => patientOf.get(name)!)));
      expect(seen[0]!.size + seen[1]!.size + seen[2]!.size).toBe(new Set(patientOf.values()).size);
      (['train', 'validation', 'test'] as const).forEach((part, i) => expect(seen[i]!.size > 0).toBe(shares[part] > 0));
      expect(splitByPatient([...all].reverse(), { ...shares, seed })).toEqual(split);
    }),
  );
});

test('the seed decides', () => {
  const all = Array.from({ length: 30 }, (_, i) => ({ case: `c${i}`, patient: `c${i}` }));
  const shares = { train: 0.7, validation: 0.1, test: 0.2 };
  const one = splitByPatient(all, { ...shares, seed: 1 });
  expect([one.train.length, one.validation.length, one.test.length]).toEqual([21, 3, 6]);
  expect(splitByPatient(all, { ...shares, seed: 2 })).not.toEqual(one);
});

test('too few patients, shares that are none', () => {
  const two = [1, 2].map((i) => ({ case: `c${i}`, patient: `c${i}` }));
  expect(() => splitByPatient(two, { train: 0.5, validation: 0.2, test: 0.3, seed: 1 })).toThrow('2 patients cannot fill 3 parts');
  for (const [train, message] of [
    [0.9, 'must sum to 1'],
    [-0.2, 'train is -0.2'],
    [NaN, 'train is NaN'],
  ] as const)
    expect(() => splitByPatient(two, { train, validation: 0, test: 0.5, seed: 1 })).toThrow(message);
});

describe('the split file', () => {
  const known = ['a', 'b', 'c', 'd'].map((name) => ({ case: name, patient: name === 'd' ? 'a' : name }));
  const read = (content: unknown) => {
    const path = join(dir, 'split.json');
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return readSplit(path, known);
  };
  test('is read as it was written', async () => {
    const split = { train: ['a', 'd'], validation: ['b'], test: ['c'] };
    await writeSplit(join(dir, 'written.json'), split);
    expect(await readSplit(join(dir, 'written.json'), known)).toEqual(split);
  });
  test.each([
    ['train is empty', { train: [], validation: [], test: ['a'] }],
    ['test names case z, which the data does not have', { train: ['a'], validation: [], test: ['z'] }],
    ['case a stands in train and in test', { train: ['a'], validation: [], test: ['a'] }],
    ['case a stands twice in train', { train: ['a', 'a'], validation: [], test: [] }],
    ['patient a is in train and in test \\(case d\\)', { train: ['a'], validation: [], test: ['d'] }],
    ['is not JSON', '{'],
    ['train', { test: ['a'] }],
    ['test.0', { train: ['a'], test: [3] }],
    ['Unrecognized key', { train: ['a'], tests: ['b'] }],
  ])('%s', async (message, content) => {
    await expect(read(content)).rejects.toMatchObject({
      code: 'ERR_TRACIN_DATA',
      message: stringMatching(new RegExp(`split.json: .*${message}`)),
    });
  });
});
