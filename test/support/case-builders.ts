/**
 * A tiny network around each operator: image → 1×1 convolution `first` → the operator → 1×1 convolution `head`, back at the image's size.
 * The gradient of `first` sees the operator's derivative to its data, those of its own weights the derivative to its parameters.
 */
import type { AttributeValue, Graph } from '../../lib/graph/graph';
import { GraphBuilder } from './graphs';

export interface OperatorCase {
  readonly name: string;
  readonly graph: Graph;
  readonly size: readonly number[];
}

export type Attributes = Readonly<Record<string, AttributeValue>>;
type ConvAttributes = { groups?: number; bias?: boolean } & Record<string, AttributeValue | boolean>;

interface Middle {
  /** Channels the operator gets, 3 unless said. */
  readonly channels?: number;
  /** Channels it gives; those it gets unless said. */
  readonly gives?: number;
  /** The length it makes of each spatial axis; the same unless said. */
  readonly lengths?: readonly ((length: number) => number)[];
  /** 17 unless said. */
  readonly opset?: number;
}

const MODALITIES = 3;
const LOGITS = 4;

export const same = (n: number): number => n;
export const times = (factor: number) => (n: number) => Math.floor(n * factor);
export const strided =
  (kernel: number, stride: number, pads = 0) =>
  (n: number) =>
    Math.floor((n + pads - kernel) / stride) + 1;
export const halvedUp = (n: number): number => Math.ceil(n / 2);

/** Builders of cases for one image size. */
export function builders(size: readonly number[]) {
  function around(name: string, middle: (g: GraphBuilder, x: string) => string, options: Middle = {}): OperatorCase {
    const { channels = 3, gives = channels, lengths, opset = 17 } = options;
    const g = new GraphBuilder({ modalities: MODALITIES, rank: size.length, seed: name.length, opset });
    let y = middle(g, g.mix('image', 'first', MODALITIES, channels));
    if (lengths) {
      // Half a pixel above the exact scale, so that its product with the length rounds down to the image's.
      const scales = size.map((n, axis) => (n + 0.5) / lengths[axis]!(n));
      y = g.resize(y, scales, { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' });
    }
    return { name, graph: g.build(g.mix(y, 'head', gives, LOGITS)), size };
  }

  return {
    around,
    conv(name: string, [channels, gives]: readonly [number, number], kernel: number[], attributes: ConvAttributes, more: Middle = {}) {
      const middle = (g: GraphBuilder, x: string): string => g.conv(x, 'middle', channels, gives, kernel, attributes);
      return around(`Conv ${name}`, middle, { ...more, channels, gives });
    },
    convTranspose(name: string, [channels, gives]: readonly [number, number], kernel: number[], attributes: Attributes, more: Middle) {
      const groups = (attributes.group as number | undefined) ?? 1;
      const middle = (g: GraphBuilder, x: string): string => {
        const weights = [g.weight('middle.weight', [channels, gives / groups, ...kernel], 0.4), g.weight('middle.bias', [gives], 0.3)];
        return g.node('ConvTranspose', [x, ...weights], { kernel_shape: kernel, ...attributes });
      };
      return around(`ConvTranspose ${name}`, middle, { ...more, channels, gives });
    },
    unary: (operator: string, name: string, attributes: Attributes, options: Middle = {}) =>
      around(`${operator} ${name}`, (g, x) => g.node(operator, [x], attributes), options),
    resize: (name: string, scales: readonly number[], attributes: Attributes) =>
      around(`Resize ${name}`, (g, x) => g.resize(x, scales, attributes), { lengths: scales.map(times), channels: 5 }),
  };
}
