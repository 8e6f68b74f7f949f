/** Builds networks layer by layer as a Graph, with seeded initial numbers. The number of spatial axes is data. */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { atOnce, type Turns } from '../turns';
import type { AttributeValue, Graph, Node, Tensor } from './graph';

/** A feature map under construction. */
export interface Feature {
  readonly name: string;
  readonly channels: number;
}

export interface ConvolutionOptions {
  readonly channels: number;
  /** Along every spatial axis; maps keep their size, or are divided by the stride. */
  readonly kernel: number;
  readonly stride?: number;
  /** Default true; not needed where a normalisation follows. */
  readonly bias?: boolean;
}

export interface BuilderOptions {
  readonly name: string;
  /** Channels of the image. */
  readonly modalities: number;
  /** Spatial axes, default 2. */
  readonly axes?: number;
  readonly seed?: number;
}

const OPSET = 17;
/** Numbers drawn between two pauses, even: they come in pairs. */
const STRETCH = 1 << 13;
/** Looked up once: millions of numbers are drawn, and looking up a global is slow where code runs in a context of its own. */
const { cos, log, PI, sin, sqrt } = Math;
const AXIS_NAMES: Record<number, readonly string[]> = { 1: ['L'], 2: ['H', 'W'], 3: ['D', 'H', 'W'] };

const filled = (dims: readonly number[], value: number): Tensor => ({
  type: 'float32',
  dims,
  data: new Float32Array(dims.reduce((product, size) => product * size, 1)).fill(value),
});

export class GraphBuilder {
  /** The image, [N, modalities, …spatial]. */
  readonly image: Feature;
  readonly #options: BuilderOptions;
  readonly #axes: number;
  readonly #random: ReturnType<typeof xoroshiro128plus>;
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Tensor>();
  /** Numbers still to be drawn, in the order of the seed. */
  readonly #undrawn: { readonly data: Float32Array; readonly deviation: number }[] = [];

  constructor(options: BuilderOptions) {
    this.#options = options;
    this.#axes = options.axes ?? 2;
    this.#random = xoroshiro128plus(options.seed ?? 0);
    this.image = { name: 'image', channels: options.modalities };
  }

  #each(value: number, times = 1): number[] {
    return new Array<number>(this.#axes * times).fill(value);
  }

  /** Normal numbers of that standard deviation, once they are drawn. */
  #normal(dims: readonly number[], deviation: number): Tensor {
    const tensor = filled(dims, 0);
    this.#undrawn.push({ data: tensor.data as Float32Array, deviation });
    return tensor;
  }

  /** Box & Muller 1958. */
  *#draw(): Turns<void> {
    for (const { data, deviation } of this.#undrawn.splice(0)) {
      for (let start = 0; start < data.length; start += STRETCH, yield) {
        const end = Math.min(start + STRETCH, data.length);
        for (let i = start; i < end; i += 2) {
          const radius = deviation * sqrt(-2 * log(1 - uniformFloat64(this.#random)));
          const angle = 2 * PI * uniformFloat64(this.#random);
          data[i] = radius * cos(angle);
          if (i + 1 < end) data[i + 1] = radius * sin(angle);
        }
      }
    }
  }

  #store(name: string, tensor: Tensor): string {
    this.#initializers.set(name, tensor);
    return name;
  }

  #node(
    name: string,
    operator: string,
    inputs: readonly string[],
    channels: number,
    attributes: Record<string, AttributeValue> = {},
  ): Feature {
    this.#nodes.push({ name, operator, domain: '', inputs, outputs: [name], attributes: new Map(Object.entries(attributes)) });
    return { name, channels };
  }

  #bias(name: string, { bias = true, channels }: ConvolutionOptions): string[] {
    return bias ? [this.#store(`${name}.bias`, filled([channels], 0))] : [];
  }

  /** Kernel by He et al. 2015 (normal, fan-in), bias 0. */
  conv(name: string, x: Feature, options: ConvolutionOptions): Feature {
    const { channels, kernel, stride = 1 } = options;
    const deviation = Math.sqrt(2 / (x.channels * kernel ** this.#axes));
    const weights = this.#store(`${name}.kernel`, this.#normal([channels, x.channels, ...this.#each(kernel)], deviation));
    // A kernel as wide as its stride tiles the map; an even one reads one position more after than before.
    const reach = kernel === stride ? 0 : kernel - 1;
    return this.#node(name, 'Conv', [x.name, weights, ...this.#bias(name, options)], channels, {
      kernel_shape: this.#each(kernel),
      strides: this.#each(stride),
      pads: [...this.#each(Math.floor(reach / 2)), ...this.#each(Math.ceil(reach / 2))],
      dilations: this.#each(1),
      group: 1,
    });
  }

  /** Makes maps `stride` times larger, kernel as wide as the stride; He initialisation by the inputs each result reads. */
  convTranspose(name: string, x: Feature, options: { readonly channels: number; readonly stride: number }): Feature {
    const { channels, stride } = options;
    const weights = this.#store(`${name}.kernel`, this.#normal([x.channels, channels, ...this.#each(stride)], Math.sqrt(2 / x.channels)));
    const inputs = [x.name, weights, ...this.#bias(name, { channels, kernel: stride })];
    return this.#node(name, 'ConvTranspose', inputs, channels, { kernel_shape: this.#each(stride), strides: this.#each(stride) });
  }

  /** Scale 1, shift 0, mean 0, variance 1. */
  batchNormalization(name: string, x: Feature): Feature {
    const start = { scale: 1, shift: 0, mean: 0, variance: 1 };
    const stored = Object.entries(start).map(([part, value]) => this.#store(`${name}.${part}`, filled([x.channels], value)));
    return this.#node(name, 'BatchNormalization', [x.name, ...stored], x.channels, { epsilon: 1e-5, momentum: 0.9 });
  }

  relu(name: string, x: Feature): Feature {
    return this.#node(name, 'Relu', [x.name], x.channels);
  }

  sigmoid(name: string, x: Feature): Feature {
    return this.#node(name, 'Sigmoid', [x.name], x.channels);
  }

  /** The largest of each block of `size` positions along every axis. */
  maxPool(name: string, x: Feature, size: number): Feature {
    return this.#node(name, 'MaxPool', [x.name], x.channels, { kernel_shape: this.#each(size), strides: this.#each(size) });
  }

  /** Maps `factor` times larger, by repetition or linear between pixel centres. */
  upsample(name: string, x: Feature, factor: number, mode: 'nearest' | 'linear'): Feature {
    const scales: Tensor = { type: 'float32', dims: [2 + this.#axes], data: Float32Array.of(1, 1, ...this.#each(factor)) };
    return this.#node(name, 'Resize', [x.name, '', this.#store(`upsample.${factor}.scales`, scales)], x.channels, {
      mode,
      coordinate_transformation_mode: mode === 'nearest' ? 'asymmetric' : 'half_pixel',
      ...(mode === 'nearest' ? { nearest_mode: 'floor' } : {}),
    });
  }

  concat(name: string, parts: readonly Feature[]): Feature {
    const channels = parts.reduce((sum, part) => sum + part.channels, 0);
    return this.#node(
      name,
      'Concat',
      parts.map((part) => part.name),
      channels,
      { axis: 1 },
    );
  }

  add(name: string, a: Feature, b: Feature): Feature {
    return this.#node(name, 'Add', [a.name, b.name], Math.max(a.channels, b.channels));
  }

  mul(name: string, a: Feature, b: Feature): Feature {
    return this.#node(name, 'Mul', [a.name, b.name], Math.max(a.channels, b.channels));
  }

  build(logits: Feature): Graph {
    return atOnce(this.building(logits));
  }

  /** The finished network, `image` [N, M, …] to `logits` [N, C, …] with free batch and spatial axes. */
  *building(logits: Feature): Turns<Graph> {
    yield* this.#draw();
    const spatial = AXIS_NAMES[this.#axes] ?? this.#each(0).map((_, axis) => `D${axis}`);
    const rename = (name: string): string => (name === logits.name ? 'logits' : name);
    return {
      name: this.#options.name,
      opset: OPSET,
      producer: 'tracin-seg',
      inputs: [{ name: this.image.name, type: 'float32', dims: ['N', this.image.channels, ...spatial] }],
      outputs: [{ name: 'logits', type: 'float32', dims: ['N', logits.channels, ...spatial] }],
      initializers: this.#initializers,
      nodes: this.#nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) })),
      metadata: new Map([['tracin.network', this.#options.name]]),
      source: this.#options.name,
    };
  }
}
