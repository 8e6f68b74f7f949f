/** The order of modalities is data: networks and data sets are brought together by the names of their channels, not by position. */
import { TracinError } from '../errors';
import { check, list, text } from '../kinds';
import { bratsModality } from './brats';

/** A modality under the name it has here, and the name the data give it. */
export interface NamedModality {
  readonly name: string;
  readonly spelled: string;
}

/** BraTS modalities get our names (`t1n`, `T1w` → `T1`), unless two would get the same; others keep theirs. */
export function nameModalities(spelled: readonly string[]): NamedModality[] {
  const names = spelled.map((name) => bratsModality(name) ?? name);
  const clear = new Set(names).size === names.length;
  return spelled.map((name, m) => ({ name: clear ? names[m]! : name, spelled: name }));
}

/**
 * Where each wanted modality lies among those there are; they may be spelled differently, and some may be left out.
 * @throws ERR_TRACIN_USAGE naming the one that is missing, asked for twice, or not told apart
 */
export function chooseModalities(wanted: readonly string[], present: readonly string[], where: string): number[] {
  const key = (name: string): string => bratsModality(name) ?? name.toLowerCase();
  const refuse = (what: string): TracinError =>
    new TracinError('ERR_TRACIN_USAGE', `${where}: ${what} among modalities ${present.join(', ')}: name those that are there`);
  if (wanted.length === 0) throw refuse('no modality is chosen');
  const chosen = wanted.map((name) => {
    const exact = present.indexOf(name);
    const alike = present.flatMap((one, m) => (key(one) === key(name) ? [m] : []));
    if (exact < 0 && alike.length !== 1) throw refuse(`${name} is ${alike.length === 0 ? 'not' : 'not told apart'}`);
    return exact < 0 ? alike[0]! : exact;
  });
  const twice = chosen.findIndex((m, i) => chosen.indexOf(m) !== i);
  if (twice >= 0) throw refuse(`${wanted[twice]} is asked for twice`);
  return chosen;
}

/**
 * Where each input channel of a network lies among the modalities of the data. Names decide; where neither side is named by modality
 * (the numbers of arrays), the order does.
 * @returns for each channel of the network, a position in `data`
 * @throws ERR_TRACIN_DATA when the counts differ or a name has no counterpart
 */
export function matchModalities(network: readonly string[], data: readonly string[]): number[] {
  check('matchModalities', { network, data }, { network: list(text), data: list(text) });
  const both = `the network takes ${network.length} modalities (${network.join(', ')}), the data have ${data.length} (${data.join(', ')})`;
  if (network.length !== data.length) throw new TracinError('ERR_TRACIN_DATA', `${both}: choose as many, in the order of the network`);
  const isNumbered = (names: readonly string[]): boolean => names.every((name, i) => name === String(i + 1));
  if (isNumbered(network) || isNumbered(data)) return network.map((_, i) => i);
  try {
    return chooseModalities(network, data, 'data');
  } catch (cause) {
    throw new TracinError('ERR_TRACIN_DATA', `${both}: the names do not match, give the data the names of the network`, { cause });
  }
}
