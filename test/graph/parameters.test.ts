import { lower } from '../../lib/graph/lower';
import { selectParameters } from '../../lib/graph/parameters';
import { buildNetwork } from '../../models/registry';

const lowered = lower(buildNetwork({ network: 'unet', width: 2, levels: 2 }), [8, 8]);
const all = lowered.parameters.map(({ name }) => name);

test('all is every parameter in gradient order', () => {
  expect(selectParameters(lowered, 'all')).toEqual(all);
});

test("head is the last convolution's kernel alone", () => {
  expect(selectParameters(lowered, 'head')).toEqual(['head.kernel']);
});

test('globs choose by name and keep the gradient order', () => {
  expect(selectParameters(lowered, ['head.*', 'encoder.0.conv?.kernel'])).toEqual([
    'encoder.0.conv1.kernel',
    'encoder.0.conv2.kernel',
    'head.kernel',
    'head.bias',
  ]);
  expect(selectParameters(lowered, ['*'])).toEqual(all);
  expect(selectParameters(lowered, ['encoder*', 'encoder.0.*'])).toEqual(all.filter((name) => name.startsWith('encoder')));
});

test('every other character is meant as it is', () => {
  expect(() => selectParameters(lowered, ['head+kernel'])).toThrow('matches no parameter');
  expect(() => selectParameters(lowered, ['head.kerne'])).toThrow('matches no parameter');
  expect(() => selectParameters(lowered, ['(head.kernel'])).toThrow('matches no parameter');
});

test('running statistics are never parameters', () => {
  expect(() => selectParameters(lowered, ['*.mean'])).toThrow('matches no parameter');
});

test('a glob that matches nothing lists near names in one line', () => {
  const choose = (): unknown => selectParameters(lowered, ['head.*', 'hed.kernel']);
  expect(choose).toThrow(
    expect.objectContaining({
      code: 'ERR_TRACIN_USAGE',
      message: expect.stringMatching(/^--parameters 'hed\.kernel' .*near names are head\.kernel, .+$/) as string,
    }) as Error,
  );
  expect(() => selectParameters(lowered, [])).toThrow('no parameters are selected');
});
