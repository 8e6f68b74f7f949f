/** Whether numbers are numbers. */

/** Whether all of [start, end) are finite. There are millions: no branches, and sums that do not wait for each other. */
function allFinite(numbers: Float32Array | Float64Array, start: number, end: number): boolean {
  let i = start;
  if (numbers instanceof Float32Array) {
    // an exponent of ones alone carries into the sign
    const bits = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
    let [a, b] = [0, 0];
    for (; i + 4 <= end; i += 4) {
      a |= ((bits[i]! & 0x7f800000) + 0x00800000) | ((bits[i + 1]! & 0x7f800000) + 0x00800000);
      b |= ((bits[i + 2]! & 0x7f800000) + 0x00800000) | ((bits[i + 3]! & 0x7f800000) + 0x00800000);
    }
    if ((a | b) < 0) return false;
  }
  // x − x is 0 for every finite number and NaN for the others
  let sum = 0;
  for (; i < end; i++) sum += numbers[i]! - numbers[i]!;
  return sum === 0;
}

/** Where the first NaN or infinite number of [start, end) is; −1 where there is none. */
export function firstNotFinite(numbers: Float32Array | Float64Array, start = 0, end = numbers.length): number {
  if (allFinite(numbers, start, end)) return -1;
  for (let i = start; ; i++) if (!Number.isFinite(numbers[i])) return i;
}
