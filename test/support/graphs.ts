/** Small networks built node by node, with seeded weights. */
import type { AttributeValue, Graph, Node, Tensor } from '../../lib/graph/graph';
import { uniform } from './numbers';

export class GraphBuilder {
  readonly #modalities: number;
  readonly #rank: number;
  readonly #opset: number;
  readonly #next: () => number;
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Tensor>();

  constructor({ modalities = 3, rank = 2, seed = 1, opset = 17 } = {}) {
    this.#modalities = modalities;
    this.#rank = rank;
    this.#opset = opset;
    this.#next = uniform(seed);
  }

  /** A weight of the checkpoint, drawn around `centre` unless there is one of that name. */
  weight(name: string, dims: readonly number[], scale = 1, centre = 0): string {
    const count = dims.reduce((product, n) => product * n, 1);
    const data = Float32Array.from({ length: count }, () => centre + scale * this.#next());
    if (!this.#initializers.has(name)) this.#initializers.set(name, { type: 'float32', dims, data });
    return name;
  }

  /** A number of the arithmetic: a Constant node. */
  constant(dims: readonly number[], values: readonly number[]): string {
    return this.node('Constant', [], { value: { type: 'float32', dims, data: Float32Array.from(values) } });
  }

  /** A Constant node of seeded numbers. */
  randomConstant(dims: readonly number[]): string {
    const count = dims.reduce((product, n) => product * n, 1);
    return this.constant(dims, Array.from({ length: count }, this.#next));
  }

  /** Sizes, axes and positions: a Constant node of whole numbers, a vector unless `dims` says otherwise. */
  integers(values: readonly number[], dims: readonly number[] = [values.length]): string {
    return this.node('Constant', [], { value: { type: 'int64', dims, data: BigInt64Array.from(values, BigInt) } });
  }

  /** @returns the name of its output */
  node(operator: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    return this.parts(operator, inputs, 1, attributes)[0]!;
  }

  /** @returns the names of its outputs */
  parts(
    operator: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): readonly string[] {
    const name = `${operator}-${this.#nodes.length}`;
    const outputs = Array.from({ length: count }, (_, i) => `${name}/out${i || ''}`);
    this.#nodes.push({ name, operator, domain: '', inputs, outputs, attributes: new Map(Object.entries(attributes)) });
    return outputs;
  }

  /** A convolution of He-scaled weights; its kernel is `name.weight`, its bias (unless `bias` is false) `name.bias`. */
  conv(
    x: string,
    name: string,
    cin: number,
    cout: number,
    kernel: readonly number[],
    {
      groups = 1,
      bias = true,
      ...attributes
    }: { groups?: number; bias?: boolean } & Record<string, AttributeValue | undefined | boolean> = {},
  ): string {
    const fanIn = (cin / groups) * kernel.reduce((product, n) => product * n, 1);
    const inputs = [x, this.weight(`${name}.weight`, [cout, cin / groups, ...kernel], Math.sqrt(6 / fanIn) / 1.5)];
    if (bias) inputs.push(this.weight(`${name}.bias`, [cout], 0.3));
    return this.node('Conv', inputs, { kernel_shape: kernel, group: groups, ...(attributes as Record<string, AttributeValue>) });
  }

  /** A 1×1 convolution. */
  mix(x: string, name: string, cin: number, cout: number): string {
    return this.conv(
      x,
      name,
      cin,
      cout,
      Array.from({ length: this.#rank }, () => 1),
    );
  }

  /** @param shape names of its scale and shift, weights of its own unless given */
  batchNormalization(
    x: string,
    name: string,
    channels: number,
    shape: readonly [string, string] = [this.weight(`${name}.scale`, [channels], 0.5, 1), this.weight(`${name}.shift`, [channels], 0.5)],
  ): string {
    return this.node(
      'BatchNormalization',
      [x, ...shape, this.weight(`${name}.mean`, [channels], 0.5), this.weight(`${name}.variance`, [channels], 0.5, 1)],
      { epsilon: 1e-3, momentum: 0.8 },
    );
  }

  /** Scales the spatial axes by Resize. */
  resize(x: string, scales: readonly number[], attributes: Readonly<Record<string, AttributeValue>>): string {
    return this.node('Resize', [x, '', this.constant([scales.length + 2], [1, 1, ...scales])], attributes);
  }

  /** Names `logits` the value as the network's output. */
  build(logits: string): Graph {
    const axes = ['D', 'H', 'W'].slice(-this.#rank);
    const nodes = [
      ...this.#nodes,
      {
        name: 'output',
        operator: 'Identity',
        domain: '',
        inputs: [logits],
        outputs: ['logits'],
        attributes: new Map<string, AttributeValue>(),
      },
    ];
    return {
      name: 'test',
      opset: this.#opset,
      producer: 'test',
      inputs: [{ name: 'image', type: 'float32', dims: ['N', this.#modalities, ...axes] }],
      outputs: [{ name: 'logits', type: 'float32', dims: ['N', 4, ...axes] }],
      initializers: this.#initializers,
      nodes,
      metadata: new Map(),
      source: 'test network',
    };
  }
}

/** A U-Net of two levels with normalisation: 3 modalities, 4 logits, sizes divisible by 2. */
export function smallNetwork({ width = 4, seed = 5 } = {}): Graph {
  const g = new GraphBuilder({ seed });
  const block = (x: string, name: string, cin: number, cout: number): string =>
    g.node('Relu', [g.batchNormalization(g.conv(x, name, cin, cout, [3, 3], { pads: [1, 1, 1, 1], bias: false }), `${name}.norm`, cout)]);
  const top = block('image', 'top', 3, width);
  const bottom = block(g.node('MaxPool', [top], { kernel_shape: [2, 2], strides: [2, 2] }), 'bottom', width, 2 * width);
  const up = g.resize(bottom, [2, 2], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' });
  const joined = block(g.node('Concat', [up, top], { axis: 1 }), 'joined', 3 * width, width);
  return g.build(g.mix(joined, 'head', width, 4));
}

/** The graph with its weights held (and stored) in float64, so that a snapshot of any engine fits without rounding. */
export function inFloat64(graph: Graph): Graph {
  const initializers = new Map(
    [...graph.initializers].map(([name, tensor]) =>
      tensor.data instanceof Float32Array
        ? [name, { ...tensor, type: 'float64' as const, data: Float64Array.from(tensor.data) }]
        : [name, tensor],
    ),
  );
  return { ...graph, initializers };
}

/**
 * Concatenations of whole blocks of sixteen channels and of others: one inside another, of a value that stands in two, of one with itself.
 * 4 logits, sizes divisible by 2.
 */
export function joinedChannels(modalities = 3): Graph {
  const g = new GraphBuilder({ modalities, seed: 8 });
  const join = (...parts: readonly string[]): string => g.node('Concat', parts, { axis: 1 });
  const conv = (x: string, name: string, cin: number, cout: number): string => g.conv(x, name, cin, cout, [3, 3], { pads: [1, 1, 1, 1] });
  const top = g.node('Relu', [g.batchNormalization(conv('image', 'top', modalities, 16), 'norm', 16)]);
  const half = conv(g.node('MaxPool', [top], { kernel_shape: [2, 2], strides: [2, 2] }), 'half', 16, 16);
  const up = g.node('ConvTranspose', [half, g.weight('up.weight', [16, 16, 2, 2], 0.3), g.weight('up.bias', [16], 0.3)], {
    kernel_shape: [2, 2],
    strides: [2, 2],
  });
  const nested = join(join(top, up), top);
  const last = join(nested, conv(nested, 'last', 48, 20));
  const twice = g.node('Relu', [g.conv(up, 'twice', 16, 16, [1, 3], { pads: [0, 1, 0, 1] })]);
  return g.build(g.mix(join(last, join(twice, twice)), 'head', 100, 4));
}
