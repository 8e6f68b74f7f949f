/** The last convolution as features see it: each map it reads is a feature, and its kernel splits by the map read. */
import { TracinError } from '../errors';
import type { Lowered } from '../graph/lowered';

export interface FeatureHead {
  /** F, maps of the last hidden layer. */
  readonly features: number;
  /** Spatial size of the maps; that of the images unless the network enlarges its logits. */
  readonly mapSize: readonly number[];
  /** Name of the kernel. */
  readonly kernel: string;
  /** Dims of the kernel. */
  readonly dims: readonly number[];
  /** [F, numbers of the kernel that read one feature]: where they lie in it. */
  readonly places: Int32Array;
}

/**
 * @param source of the network, for messages
 * @throws ERR_TRACIN_GRAPH where the network does not end in a convolution with a kernel of its own over all maps at once
 */
export function featureHead({ operations, values, head }: Lowered, source: string): FeatureHead {
  const operation = operations[head]!;
  const kernel = values[operation.inputs[1] ?? -1];
  const [features = 0, ...mapSize] = values[operation.inputs[0]!]!.dims;
  const isConvolution = operation.type === 'Conv' || operation.type === 'ConvTranspose';
  if (!isConvolution || operation.attributes.groups !== 1 || kernel?.kind !== 'parameter') {
    const message = `${source}: features need a last layer that is one convolution over all maps with its own kernel, which ${operation.name} is not`;
    throw new TracinError('ERR_TRACIN_GRAPH', `${message}: ask for maps instead`);
  }
  return { features, mapSize, kernel: kernel.name, dims: kernel.dims, places: placesOf(kernel.dims, operation.type === 'Conv' ? 1 : 0) };
}

/** @param axis which axis of the kernel counts the maps read */
function placesOf(dims: readonly number[], axis: number): Int32Array {
  const inner = dims.slice(axis + 1).reduce((product, n) => product * n, 1);
  const outer = dims.slice(0, axis).reduce((product, n) => product * n, 1);
  const features = dims[axis]!;
  const places = new Int32Array(outer * features * inner);
  let to = 0;
  for (let k = 0; k < features; k++) {
    for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) places[to++] = (o * features + k) * inner + i;
  }
  return places;
}
