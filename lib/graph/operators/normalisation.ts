/** Normalisations: BatchNormalization by its running statistics, the others by those of the slice. */
import { known, scalar, sizeOf, type Computed, type Known, type Term } from '../lowering/term';
import type { ParameterKind } from '../lowered';
import { operator, type NodeView, type OperatorEntry } from './operator';

/** Running statistics are used whatever `training_mode` says: influence is that of the network in use. */
function batchNormalization(node: NodeView): Term {
  const { emit } = node;
  const x = node.term(0);
  const channels = x.dims[1]!;
  if (x.dims[0] !== 1) node.fail(`works on [${x.dims.join(', ')}]: windows folded into the batch axis are not supported here`);
  for (let index = 1; index < 5; index++) {
    const { dims } = node.term(index);
    if (dims.length !== 1 || dims[0] !== channels) node.fail(`its input ${index} [${dims.join(', ')}] does not fit ${channels} channels`);
  }
  const learned = (index: number, role: ParameterKind): Known | Computed => {
    const term = node.term(index);
    return term.kind === 'known' ? term : emit.parameter(term, role);
  };
  const statistic = (index: number): number => {
    const term = node.term(index);
    if (term.kind !== 'weights' || term.initializer === undefined)
      return node.fail(`has running statistics that are computed: store them as initializers`);
    return emit.stored(term.initializer, term.dims, 'statistic');
  };
  const attributes = { epsilon: node.float('epsilon', 1e-5), momentum: node.float('momentum', 0.9) };
  const normalised = (scale: Known | Computed, shift: Known | Computed): Term => {
    const by = [scale, shift].map((term) => emit.value(term, term.dims));
    return emit.map({ type: 'BatchNormalization', attributes }, [emit.featureMap(x), ...by, statistic(3), statistic(4)], x.dims);
  };
  const [scale, shift] = [learned(1, 'scale'), learned(2, 'shift')];
  if (![scale, shift].some((term) => emit.isDerived(term))) return normalised(scale, shift);
  // Engines take a scale and a shift as they are stored, or constants; computed ones act on the result, by arithmetic.
  const all = (value: number): Known => known([channels], new Array<number>(channels).fill(value), false);
  return scaleAndShift(node, normalised(all(1), all(0)), perChannel(node, scale, x.dims), perChannel(node, shift, x.dims));
}

/** x · scale + shift; constants that change nothing are left out. */
function scaleAndShift(node: NodeView, x: Term, scale: Term | undefined, shift: Term | undefined): Term {
  const { emit } = node;
  const learned = (term: Term, role: ParameterKind): Term => (term.kind === 'weights' ? emit.parameter(term, role) : term);
  const idle = (term: Term | undefined, neutral: number): boolean =>
    !term || (term.kind === 'known' && term.data.every((value) => value === neutral));
  const scaled = idle(scale, 1) ? x : emit.binary('Mul', x, learned(scale!, 'scale'));
  return idle(shift, 0) ? scaled : emit.binary('Add', scaled, learned(shift!, 'shift'));
}

/** [C] as [C, 1, …], to lie along the channels of maps with those dims. */
const perChannel = (node: NodeView, term: Term, dims: readonly number[]): Term =>
  node.emit.reshape(term, [dims[1]!, ...dims.slice(2).map(() => 1)]);

/** An initializer's use is known here, so that a single channel's scale is a parameter too. */
function parameterIfStored(node: NodeView, index: number, role: ParameterKind): Term {
  const term = node.term(index);
  return term.kind === 'weights' ? node.emit.parameter(term, role) : term;
}

function instanceNormalization(node: NodeView): Term {
  const x = node.term(0);
  const rows = node.emit.normalize(x, x.dims[0]! * x.dims[1]!, node.float('epsilon', 1e-5));
  const [scale, shift] = [parameterIfStored(node, 1, 'scale'), parameterIfStored(node, 2, 'shift')];
  return scaleAndShift(node, rows, perChannel(node, scale, x.dims), perChannel(node, shift, x.dims));
}

/** Scales and shifts are those of the groups up to opset 20, of the channels since. */
function groupNormalization(node: NodeView): Term {
  const { emit } = node;
  const x = node.term(0);
  const channels = x.dims[1]!;
  const groups = node.int('num_groups', 0);
  if (groups < 1 || channels % groups !== 0) node.fail(`has ${groups} groups for ${channels} channels`);
  const rows = emit.normalize(x, x.dims[0]! * groups, node.float('epsilon', 1e-5));
  const along = (index: number, role: ParameterKind): Term => {
    const term = parameterIfStored(node, index, role);
    const each = sizeOf(term.dims) === channels ? term : emit.expand(emit.reshape(term, [groups, 1]), [groups, channels / groups]);
    return perChannel(node, emit.reshape(each, [channels]), x.dims);
  };
  return scaleAndShift(node, rows, along(1, 'scale'), along(2, 'shift'));
}

function layerNormalization(node: NodeView): Term {
  const x = node.term(0);
  const axis = node.axis('axis', -1, x.dims.length);
  const rows = node.emit.normalize(x, sizeOf(x.dims.slice(0, axis)), node.float('epsilon', 1e-5));
  return scaleAndShift(node, rows, parameterIfStored(node, 1, 'scale'), node.input(2) && parameterIfStored(node, 2, 'shift'));
}

/** Rows along an axis divided by their norm; rows of zeros stay as they are. */
function lpNormalization(node: NodeView): Term {
  const { emit } = node;
  const x = node.term(0);
  const axis = node.axis('axis', -1, x.dims.length);
  const first = node.int('p', 2) === 1;
  const sum = emit.reduce('sum', first ? emit.unary('abs', x) : emit.binary('Mul', x, x), [axis]);
  const norm = first ? sum : emit.unary('sqrt', sum);
  return emit.binary('Div', x, emit.binary('Add', norm, emit.compare('equal', norm, scalar(0))));
}

/** (x − mean) / (deviation + 1e-9) over the axes. */
function meanVarianceNormalization(node: NodeView): Term {
  const { emit } = node;
  const x = node.term(0);
  const axes = node.axes(node.ints('axes', [0, 2, 3]), x.dims.length);
  const centred = emit.binary('Sub', x, emit.reduce('mean', x, axes));
  const deviation = emit.unary('sqrt', emit.reduce('mean', emit.binary('Mul', centred, centred), axes));
  return emit.binary('Div', centred, emit.binary('Add', deviation, scalar(1e-9)));
}

export const normalisations: Readonly<Record<string, OperatorEntry>> = {
  BatchNormalization: operator(5, 5, batchNormalization),
  InstanceNormalization: operator(3, 3, instanceNormalization),
  GroupNormalization: operator(3, 3, groupNormalization),
  LayerNormalization: operator(2, 3, layerNormalization),
  LpNormalization: operator(1, 1, lpNormalization),
  MeanVarianceNormalization: operator(1, 1, meanVarianceNormalization),
};
