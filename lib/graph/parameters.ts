/** Which parameters a study differentiates. */
import { TracinError } from '../errors';
import type { Lowered, Operation, Parameter } from './lowered';

/** `*` stands for any characters (dots and slashes too), `?` for one. */
function globPattern(glob: string): RegExp {
  const escaped = glob.replace(/[.+^${}()|[\]\\/]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/\*+/g, '.*').replace(/\?/g, '.')}$`, 's');
}

/** Levenshtein's edit distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

function nearNames(glob: string, names: readonly string[]): string[] {
  const distances = new Map(names.map((name) => [name, editDistance(glob, name)]));
  return [...names].sort((a, b) => distances.get(a)! - distances.get(b)!).slice(0, 3);
}

/** Whether an operation multiplies maps with a matrix or kernel of the checkpoint. */
function isLayer({ values }: Pick<Lowered, 'values'>, { type, inputs }: Operation): boolean {
  const learned = inputs.filter((value) => values[value]?.kind !== 'activation');
  return (
    type === 'Conv' || type === 'ConvTranspose' || (type === 'MatMul' && learned.length === 1 && values[learned[0]!]!.kind !== 'constant')
  );
}

/** Index of the last convolution, or product with a matrix of the checkpoint; −1 where there is none. */
export function headOf(lowered: Pick<Lowered, 'values' | 'operations'>): number {
  return lowered.operations.findLastIndex((operation) => isLayer(lowered, operation));
}

/** The parameters that a value is, or is computed from without the image. */
function sourcesOf({ values, operations }: Lowered, value: number): Set<number> {
  const sources = new Set([value]);
  for (const { inputs, output } of operations.toReversed()) {
    if (sources.has(output) && values[output]!.kind === 'derived') inputs.forEach((input) => sources.add(input));
  }
  return sources;
}

/** The kernel of the head, or what it is computed from. */
export function headParameters(lowered: Lowered): Parameter[] {
  const { inputs } = lowered.operations[lowered.head]!;
  const kernel = inputs.slice(0, 2).find((value) => lowered.values[value]!.kind !== 'activation');
  const sources = kernel === undefined ? new Set<number>() : sourcesOf(lowered, kernel);
  return lowered.parameters.filter(({ value }) => sources.has(value));
}

/**
 * Names of the chosen parameters, in gradient order (that of `lowered.parameters`).
 * @param selection `all`; `head`: the kernel of the last convolution, or what it is computed from; or globs over initializer names
 * @throws TracinError ERR_TRACIN_USAGE for a glob that matches none, with near names
 */
export function selectParameters(lowered: Lowered, selection: 'all' | 'head' | readonly string[]): string[] {
  const names = lowered.parameters.map(({ name }) => name);
  if (selection === 'all') return names;
  if (selection === 'head') return headParameters(lowered).map(({ name }) => name);
  if (selection.length === 0) throw new TracinError('ERR_TRACIN_USAGE', 'no parameters are selected: name some, or use all or head');
  const chosen = new Set<string>();
  for (const glob of selection) {
    const pattern = globPattern(glob);
    const matches = names.filter((name) => pattern.test(name));
    if (matches.length === 0) {
      throw new TracinError(
        'ERR_TRACIN_USAGE',
        `--parameters '${glob}' matches no parameter: near names are ${nearNames(glob, names).join(', ')}`,
      );
    }
    for (const name of matches) chosen.add(name);
  }
  return names.filter((name) => chosen.has(name));
}
