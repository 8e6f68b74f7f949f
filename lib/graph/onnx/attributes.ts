/** AttributeProto to and from AttributeValue. */
import type { AttributeValue, Tensor } from '../graph';
import { graphError } from './errors';
import { ATTRIBUTE_TYPE, type AttributeProto } from './schema';
import { decodeTensor, encodeTensor } from './tensor';

/**
 * The float attributes of the standard domain, opset 13 to 22 (taken from onnx.defs). A Graph holds whole and floating numbers
 * alike; a whole one under one of these names is written as a float.
 */
const FLOAT_NAMES = new Set(
  (
    'activation_alpha activation_beta alpha beta bias clip cubic_coeff_a epsilon extrapolation_value gamma height_scale high ' +
    'lambd low max mean min momentum ratio scale scales softcap spatial_scale value_float value_floats width_scale'
  ).split(' '),
);

/** Files older than the `type` field say it by what they hold. */
function impliedType(proto: AttributeProto): number {
  if (proto.t) return ATTRIBUTE_TYPE.tensor;
  if (proto.g) return ATTRIBUTE_TYPE.graph;
  if (proto.f !== undefined) return ATTRIBUTE_TYPE.float;
  if (proto.i !== undefined) return ATTRIBUTE_TYPE.int;
  if (proto.s !== undefined) return ATTRIBUTE_TYPE.string;
  if (proto.floats.length > 0) return ATTRIBUTE_TYPE.floats;
  if (proto.strings.length > 0) return ATTRIBUTE_TYPE.strings;
  return ATTRIBUTE_TYPE.ints;
}

/** The shortest decimal number that is stored as this float32: 1e-5 for 9.99999974…e-6, what the exporter was told. */
function decimal(float: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(float.toPrecision(digits));
    if (Math.fround(short) === float) return short;
  }
  return float;
}

/** @param node how messages speak of the attribute's node */
export function decodeAttribute(proto: AttributeProto, node: string, source: string): AttributeValue {
  const what = `attribute '${proto.name ?? ''}' of ${node}`;
  const type: number = proto.type || impliedType(proto);
  switch (type) {
    case ATTRIBUTE_TYPE.float:
      return decimal(proto.f ?? 0);
    case ATTRIBUTE_TYPE.int:
      return proto.i ?? 0;
    case ATTRIBUTE_TYPE.string:
      return proto.s ?? '';
    case ATTRIBUTE_TYPE.floats:
      return proto.floats.map(decimal);
    case ATTRIBUTE_TYPE.ints:
      return proto.ints;
    case ATTRIBUTE_TYPE.strings:
      return proto.strings;
    case ATTRIBUTE_TYPE.tensor:
      if (proto.t) return decodeTensor(proto.t, what, source);
      throw graphError(source, `${what} holds no tensor: the file is damaged, export it again`);
    case ATTRIBUTE_TYPE.graph:
      throw graphError(source, `${node} holds a sub-graph, which is not supported: export the network without control flow`);
    default:
      throw graphError(source, `${what} has ONNX attribute type ${type}, which is not supported`);
  }
}

export function isTensor(value: AttributeValue): value is Tensor {
  return typeof value === 'object' && 'data' in value;
}

export function encodeAttribute(name: string, value: AttributeValue): AttributeProto {
  const empty = { name, floats: [], ints: [], strings: [] };
  if (typeof value === 'string') return { ...empty, type: ATTRIBUTE_TYPE.string, s: value };
  if (isTensor(value)) return { ...empty, type: ATTRIBUTE_TYPE.tensor, t: encodeTensor(value, '') };
  if (typeof value === 'number') {
    if (FLOAT_NAMES.has(name) || !Number.isInteger(value)) return { ...empty, type: ATTRIBUTE_TYPE.float, f: value };
    return { ...empty, type: ATTRIBUTE_TYPE.int, i: value };
  }
  if (value.some((item) => typeof item === 'string')) return { ...empty, type: ATTRIBUTE_TYPE.strings, strings: value as string[] };
  const numbers = value as number[];
  if (FLOAT_NAMES.has(name) || numbers.some((item) => !Number.isInteger(item)))
    return { ...empty, type: ATTRIBUTE_TYPE.floats, floats: numbers };
  return { ...empty, type: ATTRIBUTE_TYPE.ints, ints: numbers };
}
