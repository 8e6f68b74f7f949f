/**
 * A Graph fixed to one input size: constants folded, attributes made explicit, every shape known.
 * This is what engines execute. Spatial attributes are arrays over the spatial axes, so rank is data.
 *
 * Shapes: every number of the graph is known at one slice (N = 1), so an activation's `dims` are those of one slice: as ONNX has them
 * without the leading 1 ([C, H, W] for a feature map, [T, C] for tokens, [windows, T, C] where windows were folded into the batch axis).
 * Every other value is as stored. Arrays are row-major; whatever the batch, slices never meet.
 */

/** Numbers that a value has at most, for one slice: engines count them, and the rows of a block, in 31 bits. */
export const MOST_NUMBERS = 2 ** 31 - 1;

/** What a trainable initializer is, by how operators use it (never by its name). */
export type ParameterKind = 'kernel' | 'bias' | 'scale' | 'shift' | 'slope' | 'matrix';

export type Value =
  | { readonly kind: 'activation'; readonly name: string; readonly dims: readonly number[] }
  /** Trainable; its numbers come from the loaded checkpoint's initializer of that name. */
  | { readonly kind: 'parameter'; readonly name: string; readonly dims: readonly number[]; readonly role: ParameterKind }
  /** Running mean or variance of a BatchNormalization: from the checkpoint, updated in training, never a parameter. */
  | { readonly kind: 'statistic'; readonly name: string; readonly dims: readonly number[] }
  /** Computed from parameters (and constants) alone, the same for every slice: gradients pass through it to them. */
  | { readonly kind: 'derived'; readonly name: string; readonly dims: readonly number[] }
  /** A number of the arithmetic (not trainable), fixed at lowering. */
  | { readonly kind: 'constant'; readonly name: string; readonly dims: readonly number[]; readonly data: Float64Array };

/** A window over the spatial axes. Output o reads input o·stride − before + k·dilation. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly dilations: readonly number[];
}

/**
 * One axis of a Resize as a sparse linear map: out[o] = Σ_t weight[o·taps + t] · in[index[o·taps + t]].
 * Nearest is one tap of weight 1, linear two; every coordinate mode of ONNX becomes data here.
 */
export interface AxisTaps {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly taps: number;
  readonly index: Int32Array;
  readonly weight: Float64Array;
}

/** Functions of one number. a and b: alpha and gamma or beta, or the two limits of clip. */
export type UnaryFunction =
  | 'tanh'
  | 'elu'
  | 'selu'
  | 'celu'
  | 'hard-sigmoid'
  | 'hard-swish'
  | 'softplus'
  | 'mish'
  | 'gelu'
  | 'gelu-tanh'
  | 'erf'
  | 'clip'
  | 'neg'
  | 'sqrt'
  | 'exp'
  | 'log'
  | 'abs'
  | 'reciprocal';

export type Relation = 'less' | 'less-or-equal' | 'greater' | 'greater-or-equal' | 'equal';

/**
 * Operator by operator: inputs (indices into `values`, −1 where an optional one is absent) and attributes.
 *  Conv [x, kernel [Cout, Cin/groups, …], bias?] · ConvTranspose [x, kernel [Cin, Cout/groups, …], bias?]
 *  BatchNormalization [x, scale, shift, mean, variance]
 *  Concat [x…] on an axis counted WITHOUT the batch axis (0 = channels) · Softmax likewise
 *  Add, Sub, Mul, Div, Pow, Min, Max, Compare [a, b], Where [condition, a, b], PRelu [x, slope]: numpy broadcasting of the values' dims,
 *    right-aligned (lowering has given every operand dims that broadcast so); at ties Min and Max give the gradient to a
 *  Elementwise [x] · Normalize [x]: x seen as [groups, n] rows, each made (x − mean) / √(variance + ε); scales and shifts follow as Mul and Add
 *  Rearrange [x]: out[i] = x[index[i]], or fill where index[i] is −1; without an index the same numbers under other dims
 *  Reduce [x] over the named axes · MatMul [a, b] as numpy.matmul on the values' dims, both of two axes or more
 *  Operands of Rearrange, Reduce, Elementwise, MatMul and the arithmetic may be parameters or derived values; if all are, so is the result.
 */
export type OperationKind =
  | { readonly type: 'Conv'; readonly attributes: Window & { readonly groups: number } }
  | {
      readonly type: 'ConvTranspose';
      readonly attributes: Window & { readonly groups: number; readonly outputPadding: readonly number[] };
    }
  | { readonly type: 'BatchNormalization'; readonly attributes: { readonly epsilon: number; readonly momentum: number } }
  | { readonly type: 'Relu'; readonly attributes: Record<string, never> }
  | { readonly type: 'LeakyRelu'; readonly attributes: { readonly alpha: number } }
  | { readonly type: 'Sigmoid'; readonly attributes: Record<string, never> }
  | { readonly type: 'Elementwise'; readonly attributes: { readonly function: UnaryFunction; readonly a: number; readonly b: number } }
  | { readonly type: 'PRelu'; readonly attributes: Record<string, never> }
  | { readonly type: 'Normalize'; readonly attributes: { readonly groups: number; readonly epsilon: number } }
  | { readonly type: 'Rearrange'; readonly attributes: { readonly index: Int32Array | undefined; readonly fill: number } }
  | { readonly type: 'Reduce'; readonly attributes: { readonly kind: 'mean' | 'sum' | 'max'; readonly axes: readonly number[] } }
  | { readonly type: 'MatMul'; readonly attributes: Record<string, never> }
  | { readonly type: 'Compare'; readonly attributes: { readonly relation: Relation } }
  | { readonly type: 'Where'; readonly attributes: Record<string, never> }
  | { readonly type: 'LogSoftmax'; readonly attributes: { readonly axis: number } }
  | { readonly type: 'Softmax'; readonly attributes: { readonly axis: number } }
  | { readonly type: 'MaxPool'; readonly attributes: Window }
  | { readonly type: 'AveragePool'; readonly attributes: Window & { readonly countIncludePad: boolean } }
  | { readonly type: 'GlobalAveragePool'; readonly attributes: Record<string, never> }
  | { readonly type: 'Resize'; readonly attributes: { readonly axes: readonly AxisTaps[] } }
  | { readonly type: 'Concat'; readonly attributes: { readonly axis: number } }
  | { readonly type: 'Add' | 'Sub' | 'Mul' | 'Div' | 'Pow' | 'Min' | 'Max'; readonly attributes: Record<string, never> };

export type OperatorType = OperationKind['type'];

export type Operation = OperationKind & {
  readonly name: string;
  readonly inputs: readonly number[];
  readonly output: number;
};

/** A trainable initializer. */
export interface Parameter {
  readonly name: string;
  readonly role: ParameterKind;
  readonly dims: readonly number[];
  readonly size: number;
  /** Index into `values`. */
  readonly value: number;
}

/** A network as engines execute it, at one size of images. */
export interface Lowered {
  readonly values: readonly Value[];
  /** In an order in which they can run. */
  readonly operations: readonly Operation[];
  /** Every trainable initializer, in the order operators first use them. */
  readonly parameters: readonly Parameter[];
  /** Image value, dims [M, …spatial]. */
  readonly input: number;
  /** Logits value, dims [C, …spatial]. */
  readonly logits: number;
  /** Index into `operations` of the last convolution (or MatMul with a matrix of the checkpoint): `head` parameters are its kernel, feature maps its input. */
  readonly head: number;
  /** One line each, for people: which output was taken, what of it was left out, what is not counted as a parameter. */
  readonly notes: readonly string[];
}
