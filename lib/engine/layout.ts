/** What the arrays of a program measure: fixed by the network, its input size and the selected parameters. */
import { TracinError } from '../errors';
import type { Lowered, Parameter } from '../graph/lowered';
import type { CompileOptions, Program } from './engine';

export interface Layout {
  /** M */
  readonly modalities: number;
  /** C = K + 1 */
  readonly logits: number;
  /** K */
  readonly classes: number;
  /** Spatial axes of images and logits. */
  readonly size: readonly number[];
  /** Pixels of one map: the product of `size`. */
  readonly pixels: number;
  /** The selected parameters in gradient order. */
  readonly parameters: Program['parameters'];
  /** P */
  readonly parameterCount: number;
}

/** Numbers in an array of these dims. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, n) => product * n, 1);
}

/** @throws ERR_TRACIN_USAGE when a selected parameter is unknown or named twice, or none is selected */
export function layoutOf(lowered: Lowered, options: Pick<CompileOptions, 'parameters'>): Layout {
  const [modalities = 0, ...size] = lowered.values[lowered.input]!.dims;
  const [logits = 0] = lowered.values[lowered.logits]!.dims;
  const selected = select(lowered, options.parameters);
  let offset = 0;
  const parameters = selected.map(({ name, dims, size: count }) => ({ name, dims, offset: (offset += count) - count }));
  return { modalities, logits, classes: logits - 1, size, pixels: sizeOf(size), parameters, parameterCount: offset };
}

function select(lowered: Lowered, names: readonly string[] | undefined): readonly Parameter[] {
  const selected = (names ?? lowered.parameters.map(({ name }) => name)).map((name, i, all) => {
    const parameter = lowered.parameters.find((candidate) => candidate.name === name);
    const wrong = !parameter ? 'is not a trainable parameter of the network' : all.indexOf(name) !== i ? 'is named twice' : undefined;
    if (!parameter || wrong) {
      const known = lowered.parameters.slice(0, 3).map((candidate) => candidate.name);
      throw new TracinError(
        'ERR_TRACIN_USAGE',
        `parameters: ${name} ${wrong}; it has ${lowered.parameters.length}: ${known.join(', ')}, …`,
      );
    }
    return parameter;
  });
  if (selected.length === 0) {
    const why = names ? 'no parameter is selected: name at least one' : 'the network has no trainable parameter';
    throw new TracinError('ERR_TRACIN_USAGE', `parameters: ${why}`);
  }
  return selected;
}
