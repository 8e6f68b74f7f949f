/** Random encoder-decoders out of everything that moves a support box: fast-check's arbitraries for networks, and for the regions to ask of them. */
import fc from 'fast-check';
import type { Graph } from '../../lib/graph/graph';
import { GraphBuilder } from './graphs';

interface Feature {
  readonly value: string;
  readonly channels: number;
}
type Step = (g: GraphBuilder, x: Feature, name: string) => Feature;

const pads = [1, 1, 1, 1];

function conv(g: GraphBuilder, x: Feature, name: string, channels: number, kernel: number[], attributes: object): Feature {
  return { value: g.conv(x.value, name, x.channels, channels, kernel, { ...attributes }), channels };
}

function transposed(g: GraphBuilder, x: Feature, name: string, channels: number, kernel: number[], attributes: object): Feature {
  const weights = [g.weight(`${name}.weight`, [x.channels, channels, ...kernel], 0.3), g.weight(`${name}.bias`, [channels], 0.3)];
  return { value: g.node('ConvTranspose', [x.value, ...weights], { kernel_shape: kernel, strides: [2, 2], ...attributes }), channels };
}

const relu = (g: GraphBuilder, x: Feature): Feature => ({ ...x, value: g.node('Relu', [x.value]) });
const normalised = (g: GraphBuilder, x: Feature, name: string): Feature => ({
  ...x,
  value: g.batchNormalization(x.value, `${name}.norm`, x.channels),
});

/** Same size in and out. */
const BLOCKS: Readonly<Record<string, Step>> = {
  convolution: (g, x, name) => relu(g, conv(g, x, name, 16, [3, 3], { pads })),
  'wide convolution, normalised': (g, x, name) => relu(g, normalised(g, conv(g, x, name, 24, [3, 3], { pads, bias: false }), name)),
  'of one axis': (g, x, name) => conv(g, x, name, 5, [5, 1], { pads: [2, 0, 2, 0] }),
  'even kernel': (g, x, name) => conv(g, x, name, 16, [2, 4], { pads: [0, 2, 1, 1] }),
  dilated: (g, x, name) => relu(g, conv(g, x, name, 8, [3, 3], { pads: [2, 3, 2, 3], dilations: [2, 3] })),
  depthwise: (g, x, name) => conv(g, x, name, x.channels, [3, 3], { pads, groups: x.channels }),
  residual: (g, x, name) => {
    const inner = normalised(g, conv(g, relu(g, x), name, x.channels, [3, 3], { pads }), name);
    return { ...x, value: g.node('Add', [inner.value, x.value]) };
  },
  'gated by the whole map': (g, x, name) => {
    const gate = g.node('Sigmoid', [g.mix(g.node('GlobalAveragePool', [x.value]), name, x.channels, x.channels)]);
    return { ...x, value: g.node('Mul', [x.value, gate]) };
  },
};

/** Half the size. */
const DOWN: Readonly<Record<string, Step>> = {
  maximum: (g, x) => ({ ...x, value: g.node('MaxPool', [x.value], { kernel_shape: [2, 2], strides: [2, 2] }) }),
  'mean of overlapping windows': (g, x) => ({
    ...x,
    value: g.node('AveragePool', [x.value], { kernel_shape: [3, 3], strides: [2, 2], pads }),
  }),
  'strided convolution': (g, x, name) => conv(g, x, `${name}.down`, 20, [3, 3], { pads, strides: [2, 2] }),
};

/** Twice the size. */
const UP: Readonly<Record<string, Step>> = {
  transposed: (g, x, name) => transposed(g, x, `${name}.up`, 16, [2, 2], {}),
  'transposed, overlapping': (g, x, name) => transposed(g, x, `${name}.up`, 8, [3, 3], { pads, output_padding: [1, 1] }),
  nearest: (g, x) => ({
    ...x,
    value: g.resize(x.value, [2, 2], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
  }),
  linear: (g, x) => ({
    ...x,
    value: g.resize(x.value, [2, 2], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
  }),
};

interface Level {
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly below?: { readonly down: string; readonly up: string; readonly level: Level };
}

function level(depth: number): fc.Arbitrary<Level> {
  const blocks = fc.array(fc.constantFrom(...Object.keys(BLOCKS)), { maxLength: 2 });
  if (depth === 0) return fc.record({ before: blocks, after: blocks });
  const below = fc.record({
    down: fc.constantFrom(...Object.keys(DOWN)),
    up: fc.constantFrom(...Object.keys(UP)),
    level: level(depth - 1),
  });
  return fc.record({ before: blocks, after: blocks, below }, { requiredKeys: ['before', 'after'] });
}

function addLevel(g: GraphBuilder, x: Feature, name: string, { before, after, below }: Level): Feature {
  const through = (blocks: readonly string[], from: Feature, where: string): Feature =>
    blocks.reduce((feature, block, i) => BLOCKS[block]!(g, feature, `${name}.${where}${i}`), from);
  let y = through(before, x, 'before');
  if (below) {
    const inner = UP[below.up]!(g, addLevel(g, DOWN[below.down]!(g, y, name), `${name}.below`, below.level), name);
    y = { value: g.node('Concat', [y.value, inner.value], { axis: 1 }), channels: y.channels + inner.channels };
  }
  return through(after, y, 'after');
}

/** Something made from a description, which is what a counterexample prints. */
export interface Drawn<T> {
  readonly made: T;
  readonly [fc.toStringMethod]: () => string;
}

function drawn<D, T>(description: fc.Arbitrary<D>, make: (from: D) => T): fc.Arbitrary<Drawn<T>> {
  return description.map((from) => ({ made: make(from), [fc.toStringMethod]: () => JSON.stringify(from) }));
}

/** A network of 3 modalities and 4 logits for sizes divisible by 4. */
export function networks(): fc.Arbitrary<Drawn<Graph>> {
  return drawn(fc.record({ top: level(2), seed: fc.integer({ min: 1, max: 1000 }) }), ({ top, seed }) => {
    const g = new GraphBuilder({ seed });
    const x = addLevel(g, conv(g, { value: 'image', channels: 3 }, 'first', 16, [3, 3], { pads }), 'top', top);
    return g.build(g.mix(x.value, 'head', x.channels, 4));
  });
}

/** Half-open on either axis. */
interface Rectangle {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** A region [H, W]: none, one pixel, islands, a strip along a border, or the whole slice. */
export function regions([height, width]: readonly [number, number]): fc.Arbitrary<Drawn<Uint8Array>> {
  const rectangle = (lengths: fc.Arbitrary<number>): fc.Arbitrary<Rectangle> =>
    fc
      .tuple(fc.nat(height - 1), fc.nat(width - 1), lengths, lengths)
      .map(([top, left, high, wide]) => ({ top, left, bottom: Math.min(height, top + high), right: Math.min(width, left + wide) }));
  const whole: Rectangle = { top: 0, left: 0, bottom: height, right: width };
  const strip = fc
    .integer({ min: 1, max: 3 })
    .chain((depth) =>
      fc.constantFrom<Rectangle>(
        { ...whole, bottom: depth },
        { ...whole, top: height - depth },
        { ...whole, right: depth },
        { ...whole, left: width - depth },
      ),
    );
  const parts = fc.oneof(
    { weight: 3, arbitrary: rectangle(fc.constant(1)).map((one) => [one]) },
    { weight: 3, arbitrary: fc.array(rectangle(fc.integer({ min: 1, max: 4 })), { minLength: 2, maxLength: 3 }) },
    { weight: 2, arbitrary: strip.map((one) => [one]) },
    { weight: 1, arbitrary: fc.constant([whole]) },
    { weight: 1, arbitrary: fc.constant<Rectangle[]>([]) },
  );
  return drawn(parts, (all) => {
    const mask = new Uint8Array(height * width);
    for (const { top, left, bottom, right } of all) for (let y = top; y < bottom; y++) mask.fill(1, y * width + left, y * width + right);
    return mask;
  });
}
