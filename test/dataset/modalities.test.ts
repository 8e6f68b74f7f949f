import { chooseModalities, matchModalities, nameModalities } from '../../lib/dataset/modalities';
import { stringContaining } from './support';

test.each([
  ['BraTS to 2021', ['t1', 't1ce', 't2', 'flair'], ['T1', 'T1ce', 'T2', 'FLAIR']],
  ['BraTS from 2023', ['t1n', 't1c', 't2w', 't2f'], ['T1', 'T1ce', 'T2', 'FLAIR']],
  ['MSD', ['FLAIR', 'T1w', 't1gd', 'T2w'], ['FLAIR', 'T1', 'T1ce', 'T2']],
  ['other data', ['ADC', 'T2-FLAIR', 'CT'], ['ADC', 'FLAIR', 'CT']],
  ['two that would be alike', ['T1', 'T1w'], ['T1', 'T1w']],
])('%s is named', (_, spelled, names) => {
  expect(nameModalities(spelled).map((one) => one.name)).toEqual(names);
  expect(nameModalities(spelled).map((one) => one.spelled)).toEqual(spelled);
});

test('names bring a network and data of another order together', () => {
  const network = ['T1', 'T1ce', 'T2', 'FLAIR'];
  expect(matchModalities(network, ['FLAIR', 'T1w', 'T1gd', 'T2w'])).toEqual([1, 2, 3, 0]);
  expect(matchModalities(['adc', 'CT'], ['CT', 'ADC'])).toEqual([1, 0]);
  expect(matchModalities(['1', '2'], ['CT', 'ADC'])).toEqual([0, 1]);
  expect(() => matchModalities(network, ['T1', 'T2'])).toThrow(
    'the network takes 4 modalities (T1, T1ce, T2, FLAIR), the data have 2 (T1, T2)',
  );
  expect(() => matchModalities(['CT', 'T1'], ['CT', 'PET'])).toThrow('the names do not match');
});

test('some may be chosen, in any order and spelling', () => {
  const present = ['T1', 'T1ce', 'T2', 'FLAIR'];
  expect(chooseModalities(['t2f', 'T1c'], present, 'data')).toEqual([3, 1]);
  const refusal = (message: string) => expect.objectContaining({ code: 'ERR_TRACIN_USAGE', message: stringContaining(message) }) as Error;
  expect(() => chooseModalities(['CT'], present, 'data')).toThrow(refusal('data: CT is not among modalities T1, T1ce, T2, FLAIR'));
  expect(() => chooseModalities(['T1', 't1n'], present, 'data')).toThrow(refusal('t1n is asked for twice'));
  expect(() => chooseModalities(['t1n'], ['T1', 'T1w'], 'data')).toThrow(refusal('t1n is not told apart'));
  expect(() => chooseModalities([], present, 'data')).toThrow(refusal('no modality is chosen'));
});
