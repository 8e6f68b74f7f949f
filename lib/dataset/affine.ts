/** Voxel-to-world matrices (RAS millimetres), 4 × 4 row-major, as NIfTI defines them. */

export type Affine = readonly number[];

/** Rotation of the unit quaternion (√(1 − b² − c² − d²), b, c, d), row-major 3 × 3 (nifti1.h, method 2). */
export function rotationOf(b: number, c: number, d: number): number[] {
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  return [
    a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c),
    2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b),
    2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b,
  ]; // prettier-ignore
}

/** Affine of a rotation (row-major 3 × 3), voxel edges in mm (the third one signed by qfac) and the position of voxel (0, 0, 0). */
export function composeAffine(rotation: readonly number[], edges: readonly number[], origin: readonly number[]): number[] {
  const affine = [0, 1, 2].flatMap((row) => [...[0, 1, 2].map((axis) => rotation[row * 3 + axis]! * edges[axis]!), origin[row]!]);
  return [...affine, 0, 0, 0, 1];
}

/** World position [x, y, z] of a voxel. */
export function toWorld(affine: Affine, voxel: readonly number[]): number[] {
  return [0, 1, 2].map((row) => affine[row * 4 + 3]! + [0, 1, 2].reduce((sum, axis) => sum + affine[row * 4 + axis]! * voxel[axis]!, 0));
}

/** Edge lengths of a voxel, mm. */
export function voxelEdges(affine: Affine): number[] {
  return [0, 1, 2].map((axis) => Math.hypot(affine[axis]!, affine[4 + axis]!, affine[8 + axis]!));
}

/** How far apart two affines put the corners of a grid at most, mm. */
export function gridDistance(a: Affine, b: Affine, shape: readonly number[]): number {
  let furthest = 0;
  for (let corner = 0; corner < 8; corner++) {
    const voxel = shape.map((n, axis) => ((corner >> axis) & 1) * (n - 1));
    const [p, q] = [toWorld(a, voxel), toWorld(b, voxel)];
    furthest = Math.max(furthest, Math.hypot(...p.map((value, axis) => value - q[axis]!)));
  }
  return furthest;
}
