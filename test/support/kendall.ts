/** Kendall's τ_b by merge sort (Knight 1966), another way than the product's; NaN where either side is constant. */
export function kendall(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const n = x.length;
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => x[a]! - x[b]! || y[a]! - y[b]!);
  const pairs = (count: number): number => (count * (count - 1)) / 2;
  let [tiedX, tiedBoth] = [0, 0];
  for (let i = 0, runX = 1, runBoth = 1; i < n; i++, runX++, runBoth++) {
    const next = order[i + 1];
    const sameX = next !== undefined && x[next] === x[order[i]!];
    if (!sameX || y[next] !== y[order[i]!]) {
      tiedBoth += pairs(runBoth);
      runBoth = 0;
    }
    if (!sameX) {
      tiedX += pairs(runX);
      runX = 0;
    }
  }
  const sorted = Float64Array.from(order, (i) => y[i]!);
  const discordant = sortCountingSwaps(sorted);
  let tiedY = 0;
  for (let i = 0, run = 1; i < n; i++, run++) {
    if (sorted[i + 1] === sorted[i]) continue;
    tiedY += pairs(run);
    run = 0;
  }
  const all = pairs(n);
  if (all === tiedX || all === tiedY) return NaN;
  return (all - tiedX - tiedY + tiedBoth - 2 * discordant) / Math.sqrt((all - tiedX) * (all - tiedY));
}

/** Sorts in place; counts the pairs that stood in falling order. */
function sortCountingSwaps(values: Float64Array<ArrayBuffer>): number {
  let swaps = 0;
  let [from, to] = [values, new Float64Array(values.length)];
  for (let width = 1; width < values.length; width *= 2) {
    for (let start = 0; start < values.length; start += 2 * width) {
      const [middle, end] = [Math.min(start + width, values.length), Math.min(start + 2 * width, values.length)];
      for (let i = start, j = middle, at = start; at < end; at++) {
        if (i < middle && (j >= end || from[i]! <= from[j]!)) to[at] = from[i++]!;
        else {
          swaps += middle - i;
          to[at] = from[j++]!;
        }
      }
    }
    [from, to] = [to, from];
  }
  values.set(from);
  return swaps;
}
