/** 16-bit floating point to and from float32: IEEE 754 binary16 and bfloat16 (the upper half of a float32). */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function fromFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Ties go to the even mantissa, as in IEEE 754. */
function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function toFloat16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundEven(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  // A mantissa rounded up to 1024 carries into the exponent by plain addition.
  return sign | (((exponent + 15) << 10) + roundEven((size / 2 ** exponent - 1) * 1024));
}

function fromBfloat16(half: number): number {
  bits[0] = half << 16;
  return float[0]!;
}

function toBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  float[0] = value;
  const word = bits[0]!;
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

export type HalfType = 'float16' | 'bfloat16';

export function decodeHalf(type: HalfType, halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, type === 'float16' ? fromFloat16 : fromBfloat16);
}

export function encodeHalf(type: HalfType, values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, type === 'float16' ? toFloat16 : toBfloat16);
}
