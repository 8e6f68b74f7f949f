/** Normalisations, rearrangements, reductions and matrices: operators on tensors of any rank. */
import { builders, times, type OperatorCase } from './case-builders';
import type { GraphBuilder } from './graphs';

const CHANNELS = 6;

type Body = (g: GraphBuilder, x: string) => string;
type Cases = Readonly<Record<string, Body>>;

/** γ · x + β by channel. */
function affine(g: GraphBuilder, x: string): string {
  const scaled = g.node('Mul', [x, g.weight('scale', [CHANNELS, 1, 1], 0.5, 1)]);
  return g.node('Add', [scaled, g.weight('shift', [CHANNELS, 1, 1])]);
}

const scaleAndShift = (g: GraphBuilder, dims: readonly number[]): string[] => [g.weight('scale', dims, 0.5, 1), g.weight('shift', dims)];

const normalisations = ([h, w]: readonly [number, number]): Cases => ({
  InstanceNormalization: (g, x) => g.node('InstanceNormalization', [x, ...scaleAndShift(g, [CHANNELS])], { epsilon: 1e-3 }),
  'group normalisation as torch writes it': (g, x) => {
    const rows = g.node('Reshape', [x, g.integers([0, 2, -1])]);
    const ones = [g.constant([2], [1, 1]), g.constant([2], [0, 0])];
    const normal = g.node('InstanceNormalization', [rows, ...ones], { epsilon: 1e-3 });
    return affine(g, g.node('Reshape', [normal, g.node('Shape', [x])]));
  },
  'LayerNormalization of tokens': (g, x) =>
    asTokens(g, x, [h, w], (tokens) => g.node('LayerNormalization', [tokens, ...scaleAndShift(g, [CHANNELS])], { axis: -1 })),
  'LayerNormalization without a shift': (g, x) =>
    asTokens(g, x, [h, w], (tokens) => g.node('LayerNormalization', [tokens, g.weight('scale', [CHANNELS], 0.5, 1)], { epsilon: 1e-3 })),
  'LayerNormalization of all but the batch': (g, x) =>
    g.node('LayerNormalization', [x, ...scaleAndShift(g, [CHANNELS, h, w])], { axis: 1 }),
  'layer normalisation by its parts': (g, x) => {
    const centred = g.node('Sub', [x, g.node('ReduceMean', [x], { axes: [1] })]);
    const variance = g.node('ReduceMean', [g.node('Pow', [centred, g.constant([], [2])])], { axes: [1] });
    return affine(g, g.node('Div', [centred, g.node('Sqrt', [g.node('Add', [variance, g.constant([], [1e-3])])])]));
  },
  LpNormalization: (g, x) => g.node('LpNormalization', [x], { axis: 1, p: 2 }),
  'LogSoftmax over channels': (g, x) => g.node('LogSoftmax', [x], { axis: 1 }),
  'LogSoftmax over the last axis': (g, x) => g.node('LogSoftmax', [x], { axis: -1 }),
});

/** [N, C, H, W] → `body` of [N, H · W, C] → back. */
function asTokens(g: GraphBuilder, x: string, [h, w]: readonly [number, number], body: (tokens: string) => string): string {
  const rows = g.node('Reshape', [x, g.integers([0, CHANNELS, -1])]);
  const tokens = body(g.node('Transpose', [rows], { perm: [0, 2, 1] }));
  return g.node('Reshape', [g.node('Transpose', [tokens], { perm: [0, 2, 1] }), g.integers([0, CHANNELS, h, w])]);
}

const rearrangements = ([h, w]: readonly [number, number]): Cases => ({
  'Transpose there and back': (g, x) =>
    g.node('Transpose', [g.node('Tanh', [g.node('Transpose', [x], { perm: [0, 2, 3, 1] })])], { perm: [0, 3, 1, 2] }),
  'Transpose of channels into rows': (g, x) => {
    const turned = g.node('Transpose', [x], { perm: [0, 2, 1, 3] });
    return g.node('Mul', [x, g.node('ReduceMean', [g.node('Tanh', [turned])], { axes: [1, 2] })]);
  },
  'Reshape to channels in pairs': (g, x) => {
    const pairs = g.node('Reshape', [x, g.integers([0, 2, 3, h, w])]);
    return g.node('Reshape', [g.node('Transpose', [pairs], { perm: [0, 2, 1, 3, 4] }), g.integers([0, -1, h, w])]);
  },
  'Reshape by computed shapes': (g, x) => {
    const shape = g.node('Shape', [x]);
    const at = (i: number): string => g.node('Unsqueeze', [g.node('Gather', [shape, g.integers([i], [])]), g.integers([0])]);
    const flat = g.node('Reshape', [x, g.node('Concat', [at(0), at(1), g.integers([-1])], { axis: 0 })]);
    return g.node('Reshape', [g.node('Tanh', [flat]), shape]);
  },
  'Flatten and back': (g, x) => g.node('Reshape', [g.node('Tanh', [g.node('Flatten', [x])]), g.integers([0, CHANNELS, h, w])]),
  'Squeeze and Unsqueeze': (g, x) => {
    const pooled = g.node('Squeeze', [g.node('GlobalAveragePool', [x]), g.integers([2, 3])]);
    return g.node('Mul', [x, g.node('Unsqueeze', [g.node('Sigmoid', [pooled]), g.integers([2, 3])])]);
  },
  'Expand of pooled maps': (g, x) => g.node('Add', [x, g.node('Expand', [g.node('GlobalAveragePool', [x]), g.node('Shape', [x])])]),
  'Tile of one map': (g, x) => g.node('Add', [x, g.node('Tile', [g.mix(x, 'other', CHANNELS, 1), g.integers([1, CHANNELS, 1, 1])])]),
  'Gather of channels': (g, x) => g.node('Gather', [x, g.integers([5, 0, 0, 3, 2, -1])], { axis: 1 }),
  'Split and joined the other way': (g, x) => {
    const [first = '', second = ''] = g.parts('Split', [x, g.integers([2, 4])], 2, { axis: 1 });
    return g.node('Concat', [g.node('Tanh', [second]), first], { axis: 1 });
  },
  'Slice of channels': (g, x) => {
    const half = g.node('Slice', [x, g.integers([0]), g.integers([3]), g.integers([1])]);
    return g.node('Concat', [half, g.node('Tanh', [half])], { axis: 1 });
  },
  'Slice of every second row and column': (g, x) => {
    const part = (r: number, c: number): string =>
      g.node('Slice', [x, g.integers([r, c]), g.integers([2 ** 31, 2 ** 31]), g.integers([2, 3]), g.integers([2, 2])]);
    const mean = g.node('ReduceMean', [part(0, 1)], { axes: [2, 3] });
    return g.node('Mul', [x, g.node('Add', [mean, g.node('ReduceMax', [part(1, 0)], { axes: [2, 3] })])]);
  },
  'Slice backwards': (g, x) => g.node('Slice', [x, g.integers([-1]), g.integers([-(2 ** 31)]), g.integers([3]), g.integers([-1])]),
  'Slice that rolls the map': (g, x) => {
    const from = (start: number, end: number): string => g.node('Slice', [x, g.integers([start]), g.integers([end]), g.integers([2])]);
    return g.node('Concat', [from(2, h), from(0, 2)], { axis: 2 });
  },
  'Pad with a number, then Slice': (g, x) => {
    const padded = g.node('Pad', [x, g.integers([0, 0, 2, 0, 0, 0, 1, 3]), g.constant([], [0.5])]);
    return g.conv(padded, 'after', CHANNELS, CHANNELS, [4, 4]);
  },
  'Pad by reflection': (g, x) => g.conv(pad(g, x, 'reflect'), 'after', CHANNELS, CHANNELS, [3, 3]),
  'Pad by edges': (g, x) => g.conv(pad(g, x, 'edge'), 'after', CHANNELS, CHANNELS, [3, 3]),
  'Pad that crops': (g, x) =>
    g.node('Pad', [g.node('Pad', [x, g.integers([0, 0, 1, 1, 0, 0, 2, 2])]), g.integers([0, 0, -2, -1, 0, 0, -1, -2])]),
});

const pad = (g: GraphBuilder, x: string, mode: string): string => g.node('Pad', [x, g.integers([0, 0, 1, 1, 0, 0, 1, 1])], { mode });

const reductions: Cases = {
  'ReduceMean over pixels as a gate': (g, x) => g.node('Mul', [x, g.node('Sigmoid', [g.node('ReduceMean', [x], { axes: [2, 3] })])]),
  'ReduceMean without the axes': (g, x) => {
    const means = g.node('ReduceMean', [x], { axes: [-2, -1], keepdims: 0 });
    return g.node('Add', [x, g.node('Reshape', [g.node('Tanh', [means]), g.integers([0, -1, 1, 1])])]);
  },
  'ReduceSum over channels': (g, x) => g.node('Mul', [x, g.node('Tanh', [g.node('ReduceSum', [x, g.integers([1])])])]),
  'ReduceMax over channels': (g, x) => g.node('Sub', [x, g.node('ReduceMax', [x], { axes: [1] })]),
  'ReduceMin over channels': (g, x) => g.node('Sub', [x, g.node('ReduceMin', [x], { axes: [1] })]),
  'ReduceL2 over channels': (g, x) => g.node('Div', [x, g.node('Add', [g.node('ReduceL2', [x], { axes: [1] }), g.constant([], [0.1])])]),
  'ReduceMean and ReduceMax joined, as spatial attention does': (g, x) => {
    const maps = g.node('Concat', [g.node('ReduceMean', [x], { axes: [1] }), g.node('ReduceMax', [x], { axes: [1] })], { axis: 1 });
    return g.node('Mul', [x, g.node('Sigmoid', [g.conv(maps, 'gate', 2, 1, [3, 3], { pads: [1, 1, 1, 1] })])]);
  },
};

/** A matrix of a linear layer. */
const matrix = (g: GraphBuilder, name: string, rows = CHANNELS, columns = CHANNELS): string => g.weight(name, [rows, columns], 0.6);

const matrices = (size: readonly [number, number]): Cases => ({
  'MatMul of tokens by a matrix': (g, x) =>
    asTokens(g, x, size, (tokens) => g.node('Add', [g.node('MatMul', [tokens, matrix(g, 'matrix')]), g.weight('shift', [CHANNELS])])),
  'MatMul by a transposed matrix': (g, x) =>
    asTokens(g, x, size, (tokens) => g.node('MatMul', [tokens, g.node('Transpose', [matrix(g, 'matrix')], { perm: [1, 0] })])),
  'MatMul from the left': (g, x) => {
    const rows = g.node('Reshape', [x, g.integers([0, CHANNELS, -1])]);
    return g.node('Reshape', [g.node('MatMul', [matrix(g, 'matrix'), rows]), g.node('Shape', [x])]);
  },
  'Gemm of pooled maps as a gate': (g, x) => {
    const pooled = g.node('Flatten', [g.node('GlobalAveragePool', [x])]);
    const squeezed = g.node('Relu', [
      g.node('Gemm', [pooled, matrix(g, 'squeeze', 5, CHANNELS), g.weight('squeeze.bias', [5])], { transB: 1 }),
    ]);
    const excited = g.node('Gemm', [squeezed, matrix(g, 'excite', 5, CHANNELS), g.weight('excite.bias', [CHANNELS])], {
      alpha: 0.5,
      beta: 2,
    });
    return g.node('Mul', [x, g.node('Reshape', [g.node('Sigmoid', [excited]), g.integers([0, CHANNELS, 1, 1])])]);
  },
  'attention of two heads': (g, x) =>
    asTokens(g, x, size, (tokens) => {
      const heads = (name: string, perm: number[]): string => {
        const all = g.node('MatMul', [tokens, matrix(g, name)]);
        return g.node('Transpose', [g.node('Reshape', [all, g.integers([0, 0, 2, 3])])], { perm });
      };
      const scores = g.node('MatMul', [heads('query', [0, 2, 1, 3]), heads('key', [0, 2, 3, 1])]);
      const attention = g.node('Softmax', [g.node('Mul', [scores, g.constant([], [1 / Math.sqrt(3)])])], { axis: -1 });
      const seen = g.node('Transpose', [g.node('MatMul', [attention, heads('value', [0, 2, 1, 3])])], { perm: [0, 2, 1, 3] });
      return g.node('Add', [tokens, g.node('MatMul', [g.node('Reshape', [seen, g.integers([0, 0, CHANNELS])]), matrix(g, 'out')])]);
    }),
  'Einsum that is a product of tokens and a matrix': (g, x) =>
    asTokens(g, x, size, (tokens) => g.node('Einsum', [tokens, matrix(g, 'matrix')], { equation: 'btc,dc->btd' })),
  'Einsum of two activations': (g, x) => {
    const tokens = g.node('Softmax', [g.node('Reshape', [x, g.integers([0, CHANNELS, -1])])], { axis: 1 });
    const alike = g.node('Einsum', [tokens, tokens], { equation: 'bcn,bdn->bcd' });
    return g.node('Reshape', [g.node('Einsum', [alike, tokens], { equation: 'bcd,bdn->bcn' }), g.node('Shape', [x])]);
  },
});

/** Parameters that reach their operator through others. */
const derived: Cases = {
  'a kernel stored as a matrix': (g, x) => {
    const kernel = g.node('Reshape', [g.weight('stored', [CHANNELS, CHANNELS * 9], 0.3), g.integers([CHANNELS, CHANNELS, 3, 3])]);
    return g.node('Conv', [x, kernel], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  },
  'a kernel stored the other way round, used twice': (g, x) => {
    const stored = g.weight('stored', [3, 3, CHANNELS, CHANNELS], 0.3);
    const kernel = g.node('Transpose', [stored], { perm: [3, 2, 0, 1] });
    const conv = (input: string): string => g.node('Conv', [input, kernel], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    return conv(g.node('Tanh', [conv(x)]));
  },
  'a kernel of standardised weights': (g, x) => {
    const stored = g.weight('stored', [CHANNELS, CHANNELS, 3, 3], 0.3);
    const centred = g.node('Sub', [stored, g.node('ReduceMean', [stored], { axes: [1, 2, 3] })]);
    const length = g.node('Sqrt', [g.node('ReduceSum', [g.node('Mul', [centred, centred]), g.integers([1, 2, 3])])]);
    return g.node('Conv', [x, g.node('Div', [centred, length])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  },
  'a BatchNormalization by computed scale and shift': (g, x) => {
    const scale = g.node('Add', [g.weight('gamma', [CHANNELS], 0.3), g.constant([], [1])]);
    const shift = g.node('Reshape', [g.weight('beta', [1, CHANNELS], 0.3), g.integers([CHANNELS])]);
    return g.batchNormalization(g.node('Relu', [x]), 'middle', CHANNELS, [scale, shift]);
  },
  'a BatchNormalization after a convolution, by a computed scale': (g, x) =>
    g.batchNormalization(x, 'middle', CHANNELS, [g.node('Exp', [g.weight('gamma', [CHANNELS], 0.3)]), g.weight('beta', [CHANNELS], 0.3)]),
};

export function tensorCases(size: readonly [number, number]): readonly OperatorCase[] {
  const { around, unary } = builders(size);
  const every = { ...normalisations(size), ...rearrangements(size), ...reductions, ...matrices(size), ...derived };
  const small = { channels: CHANNELS };
  const groups = (opset: number, count: number): OperatorCase =>
    around(
      `GroupNormalization of operator set ${opset}`,
      (g, x) => g.node('GroupNormalization', [x, ...scaleAndShift(g, [count])], { num_groups: 2, epsilon: 1e-3 }),
      {
        ...small,
        opset,
      },
    );
  return [
    ...Object.entries(every).map(([name, body]) => around(name, body, small)),
    groups(18, 2),
    groups(21, CHANNELS),
    ...['DCR', 'CRD'].map((mode) =>
      unary('DepthToSpace', mode, { blocksize: 2, mode }, { channels: 12, gives: 3, lengths: [times(2), times(2)] }),
    ),
    around(
      'SpaceToDepth and back',
      (g, x) => {
        const even = g.node('DepthToSpace', [x], { blocksize: 2 });
        return g.node('Tanh', [g.node('SpaceToDepth', [even], { blocksize: 2 })]);
      },
      { channels: 12 },
    ),
    around(
      'axes as attributes of an older operator set',
      (g, x) => {
        const [first = '', second = ''] = g.parts('Split', [x], 2, { axis: 1, split: [2, 4] });
        const joined = g.node('Concat', [second, first], { axis: 1 });
        const pooled = g.node('Squeeze', [g.node('ReduceSum', [joined], { axes: [2] })], { axes: [2] });
        return g.node('Add', [joined, g.node('Unsqueeze', [g.node('Tanh', [pooled])], { axes: [2] })]);
      },
      { ...small, opset: 11 },
    ),
    around(
      'axes as inputs of a newer operator set',
      (g, x) =>
        g.node('Mul', [
          x,
          g.node('Tanh', [g.node('Sub', [g.node('ReduceMax', [x, g.integers([2, 3])]), g.node('ReduceMean', [x, g.integers([2, 3])])])]),
        ]),
      { ...small, opset: 18 },
    ),
  ];
}
