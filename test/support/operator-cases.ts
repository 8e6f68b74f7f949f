/** Convolutions, pools, resizing and joins of feature maps. */
import type { GraphBuilder } from './graphs';
import { builders, halvedUp, same, strided, times, type OperatorCase } from './case-builders';

const CHANNELS = [
  [1, 3],
  [3, 8],
  [8, 17],
  [17, 40],
  [40, 1],
  [16, 16],
] as const;

/** Scale and shift of a normalisation that has none to learn, as `affine=False` is exported. */
const still = (g: GraphBuilder): [string, string] => [g.constant([3], [1, 1, 1]), g.constant([3], [0, 0, 0])];

/** Every operator on maps of two axes. */
export function planarCases(size: readonly [number, number]): readonly OperatorCase[] {
  const { around, conv, convTranspose, unary, resize } = builders(size);
  const pads = [1, 1, 1, 1];
  return [
    ...CHANNELS.map((channels) => conv(`3×3, ${channels.join(' to ')} channels`, channels, [3, 3], { pads })),
    conv('1×1 without bias', [40, 17], [1, 1], { bias: false }),
    conv('5×2, asymmetric pads', [3, 8], [5, 2], { pads: [1, 0, 3, 1] }),
    conv(
      'stride 2, asymmetric pads',
      [8, 17],
      [3, 3],
      { pads: [1, 0, 2, 1], strides: [2, 2] },
      { lengths: [strided(3, 2, 3), strided(3, 2, 1)] },
    ),
    conv('strides 3 and 1', [3, 8], [2, 3], { pads: [0, 1, 0, 1], strides: [3, 1] }, { lengths: [strided(2, 3), same] }),
    conv('dilated', [8, 8], [3, 3], { pads: [2, 3, 2, 3], dilations: [2, 3] }),
    conv('in 2 groups', [8, 6], [3, 3], { pads, groups: 2 }),
    conv('depthwise', [17, 17], [3, 3], { pads, groups: 17 }),
    conv('depthwise with two outputs each', [3, 6], [3, 3], { pads, groups: 3 }),
    conv('auto_pad SAME_UPPER, stride 2', [3, 8], [3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }, { lengths: [halvedUp, halvedUp] }),
    conv('auto_pad SAME_LOWER', [3, 8], [2, 4], { auto_pad: 'SAME_LOWER' }),
    conv('auto_pad VALID', [3, 8], [3, 3], { auto_pad: 'VALID' }, { lengths: [strided(3, 1), strided(3, 1)] }),
    convTranspose('2×2, stride 2', [8, 17], [2, 2], { strides: [2, 2] }, { lengths: [times(2), times(2)] }),
    convTranspose(
      '3×3, stride 2, padded',
      [17, 3],
      [3, 3],
      { strides: [2, 2], pads: [1, 1, 0, 1], output_padding: [0, 1] },
      { lengths: [times(2), times(2)] },
    ),
    convTranspose(
      'dilated',
      [8, 6],
      [3, 2],
      { strides: [2, 2], dilations: [2, 3], pads: [1, 0, 1, 1] },
      { lengths: [(n) => 2 * (n - 1) + 5 - 2, (n) => 2 * (n - 1) + 4 - 1] },
    ),
    convTranspose('depthwise', [8, 8], [2, 2], { strides: [2, 2], group: 8 }, { lengths: [times(2), times(2)] }),
    convTranspose('auto_pad SAME_UPPER', [3, 8], [3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }, { lengths: [times(2), times(2)] }),
    convTranspose(
      'of a given size',
      [3, 8],
      [3, 3],
      { output_shape: size.map(times(2)), strides: [2, 2] },
      { lengths: [times(2), times(2)] },
    ),
    convTranspose('in 2 groups', [8, 6], [3, 2], { strides: [1, 2], pads: [1, 0, 1, 0], group: 2 }, { lengths: [same, times(2)] }),
    around('BatchNormalization after a convolution', (g, x) => g.batchNormalization(x, 'middle', 17), { channels: 17 }),
    around('BatchNormalization before a convolution', (g, x) =>
      g.conv(g.batchNormalization(g.node('Relu', [x]), 'middle', 3), 'after', 3, 3, [3, 3], { pads }),
    ),
    around('BatchNormalization between convolution and Relu', (g, x) => g.node('Relu', [g.batchNormalization(x, 'middle', 8)]), {
      channels: 8,
    }),
    around('BatchNormalization of constant scale and shift, after a convolution', (g, x) => g.batchNormalization(x, 'middle', 3, still(g))),
    around('BatchNormalization of constant scale and shift, before a convolution', (g, x) =>
      g.conv(g.batchNormalization(g.node('Relu', [x]), 'middle', 3, still(g)), 'after', 3, 3, [3, 3], { pads }),
    ),
    unary('Relu', '', {}, { channels: 17 }),
    unary('LeakyRelu', '', { alpha: 0.2 }),
    unary('Sigmoid', '', {}, { channels: 17 }),
    unary('Softmax', 'over channels', { axis: 1 }, { channels: 17 }),
    unary('Softmax', 'over the last axis', { axis: -1 }),
    unary('MaxPool', '2×2', { kernel_shape: [2, 2], strides: [2, 2] }, { channels: 17, lengths: [strided(2, 2), strided(2, 2)] }),
    unary(
      'MaxPool',
      '3×3, overlapping',
      { kernel_shape: [3, 3], strides: [2, 2], pads },
      { lengths: [strided(3, 2, 2), strided(3, 2, 2)] },
    ),
    unary('MaxPool', 'rounded up', { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }, { lengths: [halvedUp, halvedUp] }),
    unary(
      'MaxPool',
      'dilated, rounded up',
      { kernel_shape: [2, 3], strides: [2, 2], dilations: [2, 1], pads: [0, 1, 1, 0], ceil_mode: 1 },
      { lengths: [(n) => Math.ceil((n + 1 - 3) / 2) + 1, (n) => Math.ceil((n + 1 - 3) / 2) + 1] },
    ),
    unary('GlobalMaxPool', '', {}, { lengths: [() => 1, () => 1] }),
    unary('LpPool', 'of order 2', { kernel_shape: [2, 2], strides: [2, 2], p: 2 }, { lengths: [strided(2, 2), strided(2, 2)] }),
    unary('AveragePool', 'rounded up', { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }, { lengths: [halvedUp, halvedUp] }),
    unary(
      'AveragePool',
      'rounded up, padding counted',
      { kernel_shape: [3, 3], strides: [2, 2], pads, ceil_mode: 1, count_include_pad: 1 },
      { lengths: [(n) => halvedUp(n - 1) + 1, (n) => halvedUp(n - 1) + 1], opset: 19 },
    ),
    unary('AveragePool', 'dilated', { kernel_shape: [2, 2], dilations: [2, 1], pads: [1, 0, 1, 1] }, { opset: 19 }),
    unary('AveragePool', '2×2', { kernel_shape: [2, 2], strides: [2, 2] }, { channels: 17, lengths: [strided(2, 2), strided(2, 2)] }),
    unary('AveragePool', 'padding left out', { kernel_shape: [3, 3], strides: [2, 1], pads }, { lengths: [strided(3, 2, 2), same] }),
    unary(
      'AveragePool',
      'padding counted',
      { kernel_shape: [3, 3], strides: [2, 1], pads, count_include_pad: 1 },
      { lengths: [strided(3, 2, 2), same] },
    ),
    around('GlobalAveragePool as a gate', (g, x) => g.node('Mul', [x, g.node('Sigmoid', [g.node('GlobalAveragePool', [x])])]), {
      channels: 17,
    }),
    resize('nearest ×2, asymmetric', [2, 2], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
    resize('nearest ×2 and ×3, asymmetric', [2, 3], {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    }),
    resize('nearest ×1.5, half pixel', [1.5, 1.5], {
      mode: 'nearest',
      coordinate_transformation_mode: 'half_pixel',
      nearest_mode: 'round_prefer_floor',
    }),
    resize('linear ×2, half pixel', [2, 2], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
    resize('linear ×2, aligned corners', [2, 2], { mode: 'linear', coordinate_transformation_mode: 'align_corners' }),
    resize('linear, one axis up, one down', [1.5, 0.5], { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' }),
    ...['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'].map((nearest_mode) =>
      resize(`nearest, ${nearest_mode}`, [1.5, 0.7], { mode: 'nearest', coordinate_transformation_mode: 'half_pixel', nearest_mode }),
    ),
    resize('nearest, aligned corners', [1.5, 1.5], { mode: 'nearest', coordinate_transformation_mode: 'align_corners' }),
    resize('linear, asymmetric', [1.5, 2], { mode: 'linear', coordinate_transformation_mode: 'asymmetric' }),
    resize('cubic ×2', [2, 2], { mode: 'cubic', coordinate_transformation_mode: 'half_pixel' }),
    resize('cubic as torch has it', [1.5, 0.5], {
      mode: 'cubic',
      coordinate_transformation_mode: 'pytorch_half_pixel',
      cubic_coeff_a: -0.5,
      exclude_outside: 1,
    }),
    resize('cubic, aligned corners', [2, 1.5], { mode: 'cubic', coordinate_transformation_mode: 'align_corners' }),
    around(
      'Resize to sizes computed from the image',
      (g, x) => {
        const small = g.node('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2] });
        const part = (from: number, to: number): string => g.node('Slice', [g.node('Shape', [x]), g.integers([from]), g.integers([to])]);
        const sizes = g.node('Concat', [part(0, 1), g.integers([17]), part(2, 4)], { axis: 0 });
        return g.node('Resize', [small, '', '', sizes], { mode: 'linear' });
      },
      { channels: 17 },
    ),
    around(
      'Upsample of an older operator set',
      (g, x) =>
        g.node('MaxPool', [g.node('Upsample', [x, g.constant([4], [1, 1, 2, 2])], { mode: 'linear' })], {
          kernel_shape: [2, 2],
          strides: [2, 2],
        }),
      { opset: 9 },
    ),
    around('Concat of channels', (g, x) => g.node('Concat', [x, 'image', g.mix(x, 'other', 17, 8)], { axis: 1 }), {
      channels: 17,
      gives: 28,
    }),
    around('Concat of rows', (g, x) => g.node('Concat', [x, g.node('Sigmoid', [x])], { axis: 2 }), { lengths: [times(2), same] }),
    around('Add of a residual', (g, x) => g.node('Add', [x, g.conv(x, 'other', 17, 17, [3, 3], { pads })]), { channels: 17 }),
    around('Add of a value to itself', (g, x) => g.node('Add', [x, x])),
    around('Add of a constant by channel', (g, x) => g.node('Add', [x, g.randomConstant([1, 3, 1, 1])])),
    around('Add of one number a channel', (g, x) => g.node('Add', [x, g.node('GlobalAveragePool', [g.mix(x, 'other', 8, 8)])]), {
      channels: 8,
    }),
    around('Sub from a scalar', (g, x) => g.node('Sub', [g.constant([], [1]), x])),
    around('Sub of one map from all', (g, x) => g.node('Sub', [x, g.mix(x, 'other', 8, 1)]), { channels: 8 }),
    around('Sub of all from one map', (g, x) => g.node('Sub', [g.mix(x, 'other', 8, 1), x]), { channels: 8 }),
    around('Mul by an attention map', (g, x) => g.node('Mul', [g.node('Sigmoid', [g.mix(x, 'other', 17, 1)]), x]), { channels: 17 }),
    around('Mul of a value by itself', (g, x) => g.node('Mul', [x, x]), { channels: 8 }),
    around('Mul by a constant by channel', (g, x) => g.node('Mul', [g.randomConstant([17, 1, 1]), x]), { channels: 17 }),
    around('Mul by a constant map', (g, x) => g.node('Mul', [x, g.randomConstant(size)])),
    around('Identity and Dropout', (g, x) => g.node('Dropout', [g.node('Identity', [x])])),
    around(
      'a kernel shared by two convolutions',
      (g, x) => g.conv(g.node('Relu', [g.conv(x, 'shared', 8, 8, [3, 3], { pads })]), 'shared', 8, 8, [3, 3], { pads }),
      { channels: 8 },
    ),
    around('a normalisation shared by two places', (g, x) =>
      g.batchNormalization(g.node('Relu', [g.batchNormalization(x, 'shared', 3)]), 'shared', 3),
    ),
    around('a branch that nothing reads', (g, x) => {
      g.mix(x, 'unread', 3, 5);
      return g.node('Relu', [x]);
    }),
  ];
}

const line = builders([9]);
const volume = builders([4, 5, 4]);

/** Maps of one and of three axes. */
export const OTHER_RANKS: readonly OperatorCase[] = [
  line.conv('1-D', [3, 5], [3], { pads: [2, 0] }),
  volume.conv('3-D', [3, 5], [3, 2, 3], { pads: [1, 1, 1, 1, 0, 1] }),
  volume.convTranspose('3-D', [3, 5], [2, 2, 2], { strides: [2, 2, 2] }, { lengths: [times(2), times(2), times(2)] }),
  volume.unary(
    'MaxPool',
    '3-D',
    { kernel_shape: [2, 2, 2], strides: [2, 2, 2] },
    { lengths: [strided(2, 2), strided(2, 2), strided(2, 2)] },
  ),
  volume.around('BatchNormalization 3-D', (g, x) => g.batchNormalization(x, 'middle', 3)),
  line.unary('AveragePool', '1-D', { kernel_shape: [3], pads: [1, 1] }),
  line.around('Transpose and LayerNormalization, 1-D', (g, x) => {
    const tokens = g.node('Transpose', [x], { perm: [0, 2, 1] });
    const normal = g.node('LayerNormalization', [tokens, g.weight('scale', [3], 0.5, 1), g.weight('shift', [3])]);
    return g.node('Transpose', [normal], { perm: [0, 2, 1] });
  }),
  volume.around('InstanceNormalization and PRelu, 3-D', (g, x) => {
    const normal = g.node('InstanceNormalization', [x, g.weight('scale', [3], 0.5, 1), g.weight('shift', [3])]);
    return g.node('PRelu', [normal, g.weight('slope', [3, 1, 1, 1], 0.2, 0.3)]);
  }),
  volume.resize('nearest ×2, 3-D', [2, 2, 2], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
  volume.resize('linear ×2, 3-D', [2, 2, 2], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
  volume.around('Pad and ReduceMax, 3-D', (g, x) => {
    const padded = g.node('Pad', [x, g.integers([0, 0, 1, 0, 0, 0, 0, 1, 2, 0])], { mode: 'edge' });
    return g.node('Sub', [x, g.node('ReduceMax', [g.node('Tanh', [padded])], { axes: [2, 3, 4] })]);
  }),
  volume.around('Mul by one number a channel, 3-D', (g, x) => g.node('Mul', [x, g.node('GlobalAveragePool', [x])])),
];
