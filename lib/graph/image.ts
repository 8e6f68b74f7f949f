/** The image a network takes: its name, its modalities, and whether they lie before the spatial axes or after them. */
import type { Graph, ValueInfo } from './graph';
import { graphError } from './onnx/errors';

export const FLOATING: ReadonlySet<string> = new Set(['float32', 'float64', 'float16', 'bfloat16']);

export interface ImageLayout {
  readonly name: string;
  /** M */
  readonly modalities: number;
  /** Sizes of the spatial axes; a free one is a string. */
  readonly spatial: readonly (number | string)[];
  /** [N, …spatial, M], as TensorFlow has it. */
  readonly channelsLast: boolean;
}

/** What to say of images of a size that a network was not exported for: sizes [H, W], where the network's may be free along an axis. */
export function otherSize(exported: ImageLayout['spatial'], size: readonly number[]): string {
  const only = exported.map((length) => (typeof length === 'number' ? length : 'any')).join(' × ');
  const advice = 'export it with free axes (dynamic_axes of torch.onnx.export), or crop or pad the images to that size (--size)';
  return `was exported for images of ${only} alone, not ${size.join(' × ')}: ${advice}`;
}

/** Dims [N, M, …] of a tensor [N, …, M]. */
export const channelsFirst = (rank: number): number[] => [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, axis) => axis + 1)];

/** Operators that need channels first: what is before them tells nothing. */
const MAPS = new Set(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'BatchNormalization', 'Resize', 'Upsample']);

/** Whether the image is transposed to channels first before any operator on maps. */
function isTransposed(graph: Graph, { name, dims }: ValueInfo): boolean {
  const wanted = channelsFirst(dims.length);
  const reached = new Set([name]);
  for (const { operator, inputs, outputs, attributes } of graph.nodes) {
    if (!inputs.some((input) => reached.has(input))) continue;
    const order = attributes.get('perm');
    if (operator === 'Transpose' && Array.isArray(order))
      return order.length === wanted.length && wanted.every((axis, i) => axis === order[i]);
    if (MAPS.has(operator)) return false;
    if (operator !== 'Shape') outputs.forEach((output) => reached.add(output));
  }
  return false;
}

/**
 * The one image input, [N, M, …spatial] or [N, …spatial, M]: the latter where the file fixes the last axis but not the second, or where
 * the image is transposed before the first operator on maps.
 * @throws TracinError ERR_TRACIN_GRAPH several inputs, no numbers of an image, a channel axis that is not fixed, an axis of length 0
 */
export function imageLayout(graph: Graph): ImageLayout {
  const names = graph.inputs.map(({ name }) => `'${name}'`).join(', ');
  const [input, second] = graph.inputs;
  if (!input || second)
    throw graphError(graph.source, `has ${graph.inputs.length} inputs (${names || 'none'}): a network of one image input is needed`);
  const { name, type, dims } = input;
  if (!FLOATING.has(type)) throw graphError(graph.source, `input '${name}' is ${type}: a floating-point image is needed`);
  if (dims.length < 3) throw graphError(graph.source, `input '${name}' has ${dims.length} dims: [N, M, …spatial] are needed`);
  const [first, last] = [dims[1], dims.at(-1)];
  const channelsLast = (typeof last === 'number' && typeof first !== 'number') || (last === 1 && first !== 1) || isTransposed(graph, input);
  const modalities = channelsLast ? last : first;
  if (typeof modalities !== 'number' || modalities < 1)
    throw graphError(graph.source, `input '${name}' does not say how many modalities it has: export it with a fixed channel axis`);
  const spatial = channelsLast ? dims.slice(1, -1) : dims.slice(2);
  if (spatial.includes(0)) throw graphError(graph.source, `input '${name}' takes images without pixels: export it with free axes`);
  return { name, modalities, spatial, channelsLast };
}
