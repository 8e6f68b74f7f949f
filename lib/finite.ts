/** Whether numbers are numbers. */

/** Where the first NaN or infinite number of [start, end) is; −1 where there is none. */
export function firstNotFinite(numbers: Float32Array | Float64Array, start = 0, end = numbers.length): number {
  // x − x is 0 for every finite number and NaN for the others. A sum needs no branch, and there are millions.
  let sum = 0;
  for (let i = start; i < end; i++) sum += numbers[i]! - numbers[i]!;
  if (sum === 0) return -1;
  for (let i = start; ; i++) if (!Number.isFinite(numbers[i])) return i;
}
