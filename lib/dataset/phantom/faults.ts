/** Label errors planted on purpose, the four ways experts' labels go wrong: too tight, too wide, two classes confused, misplaced. */

export const FAULTS = ['erode', 'dilate', 'swap', 'shift'] as const;
/** A way in which labels are corrupted. */
export type Fault = (typeof FAULTS)[number];

type Mask = (label: number) => boolean;
const whole: Mask = (label) => label !== 0;
const core: Mask = (label) => label === 1 || label === 3;

/** Whether any pixel within `radius` of (x, y) in the slice that begins at `slice` satisfies (or, negated, fails) the mask; outside is background. */
function near(
  labels: Uint8Array,
  nx: number,
  ny: number,
  slice: number,
  x: number,
  y: number,
  radius: number,
  mask: Mask,
  wanted: boolean,
): boolean {
  for (let dy = -radius; dy <= radius; dy++) {
    for (let dx = -radius; dx <= radius; dx++) {
      if (dx * dx + dy * dy > radius * radius) continue;
      const [u, v] = [x + dx, y + dy];
      const label = u < 0 || v < 0 || u >= nx || v >= ny ? 0 : labels[slice + v * nx + u]!;
      if (mask(label) === wanted) return true;
    }
  }
  return false;
}

/**
 * The labels 0..3 of a volume after a fault, slice by slice.
 * @param amount pixels, for erode, dilate and shift (along x)
 */
export function corrupt(labels: Uint8Array, shape: readonly [number, number, number], fault: Fault, amount: number): Uint8Array {
  const [nx, ny, nz] = shape;
  if (fault === 'swap') return labels.map((label) => (core(label) ? 4 - label : label));
  const corrupted = new Uint8Array(labels.length);
  const coreLabel = labels.includes(3) ? 3 : 1;
  for (let z = 0; z < nz; z++) {
    const slice = z * nx * ny;
    if (!labels.subarray(slice, slice + nx * ny).some(whole)) continue;
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        const i = slice + y * nx + x;
        const label = labels[i]!;
        const any = (mask: Mask, wanted: boolean): boolean => near(labels, nx, ny, slice, x, y, amount, mask, wanted);
        if (fault === 'shift') corrupted[i] = x >= amount ? labels[i - amount]! : 0;
        else if (fault === 'erode') corrupted[i] = !whole(label) || any(whole, false) ? 0 : core(label) && any(core, false) ? 2 : label;
        else corrupted[i] = core(label) ? label : any(core, true) ? coreLabel : any(whole, true) ? 2 : 0;
      }
    }
  }
  return corrupted;
}
