/** A skull-stripped brain of ellipsoids and folded sheets: white matter, grey ribbon and nuclei, ventricles and sulci, vessels. */
import { smoothField, smoothstep, voxelCount, type Grid, type Random } from './fields';
import type { TumourPlan } from './tumour';

/** Shares of a voxel; what is neither grey nor fluid is white matter. */
export interface Anatomy {
  /** 1 where there is brain. */
  readonly inside: Uint8Array;
  readonly grey: Float32Array;
  readonly fluid: Float32Array;
  /** Blood, bright after contrast agent. */
  readonly vessel: Float32Array;
  /** White matter at the horns of the ventricles that is bright on FLAIR in most people. */
  readonly cap: Float32Array;
}

/** Half axes of the brain, mm. */
const BRAIN = [66, 82, 62] as const;

function ellipsoid(x: number, y: number, z: number, a: number, b: number, c: number): number {
  return Math.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2);
}

export function makeAnatomy(grid: Grid, tumour: TumourPlan, random: Random): Anatomy {
  const [nx, ny, nz] = grid.shape;
  const warp = [0, 1, 2].map(() => smoothField(grid, 55, random)) as [Float32Array, Float32Array, Float32Array];
  const fold = smoothField(grid, 14, random);
  const twig = smoothField(grid, 9, random);
  const tilt = random.between(-0.09, 0.09);
  const [cos, sin] = [Math.cos(tilt), Math.sin(tilt)];
  const scale = BRAIN.map(() => random.between(0.94, 1.06)) as [number, number, number];
  const shift = [random.between(-4, 4), random.between(-4, 4), random.between(-3, 3)] as const;
  const ventricle = random.between(0.85, 1.35);
  const push = random.between(0.15, 0.35);
  const pushRange = 2 * (1.3 * tumour.coreRadius) ** 2;

  const count = voxelCount(grid);
  const anatomy: Anatomy = {
    inside: new Uint8Array(count),
    grey: new Float32Array(count),
    fluid: new Float32Array(count),
    vessel: new Float32Array(count),
    cap: new Float32Array(count),
  };
  for (let k = 0, i = 0; k < nz; k++) {
    for (let j = 0; j < ny; j++) {
      for (let h = 0; h < nx; h++, i++) {
        let x = (h - (nx - 1) / 2) * grid.spacing[0];
        let y = (j - (ny - 1) / 2) * grid.spacing[1];
        let z = (k - (nz - 1) / 2) * grid.spacing[2];
        // The tumour takes room: tissue around it is that which would lie nearer its centre.
        const [dx, dy, dz] = [x - tumour.centre[0], y - tumour.centre[1], z - tumour.centre[2]];
        const moved = push * Math.exp(-(dx * dx + dy * dy + dz * dz) / pushRange);
        x += 3.5 * warp[0][i]! - moved * dx - shift[0];
        y += 3.5 * warp[1][i]! - moved * dy - shift[1];
        z += 3 * warp[2][i]! - moved * dz - shift[2];
        [x, y] = [cos * x - sin * y, sin * x + cos * y];
        x /= scale[0];
        y /= scale[1];
        z /= scale[2];
        // Wider behind than in front, flat below.
        const depth = (1 - ellipsoid(x, y, z, BRAIN[0] * (1 + (0.1 * y) / BRAIN[1]), BRAIN[1], z < 0 ? 0.88 * BRAIN[2] : BRAIN[2])) * 70;
        if (depth <= 0) continue;
        anatomy.inside[i] = 1;
        tissue(anatomy, i, x, y, z, depth, fold[i]!, twig[i]!, ventricle);
      }
    }
  }
  return anatomy;
}

/** @param depth mm below the surface, about; `fold` is near 0 along sheets, which become the sulci and their grey banks */
function tissue(
  anatomy: Anatomy,
  i: number,
  x: number,
  y: number,
  z: number,
  depth: number,
  fold: number,
  twig: number,
  ventricle: number,
): void {
  const side = Math.abs(x);
  const sulcus = Math.exp(-((fold / 0.2) ** 2)) * smoothstep(21, 7, depth);
  const bank = Math.exp(-((fold / 0.75) ** 2)) * smoothstep(25, 14, depth);
  const ribbon = smoothstep(8, 5, depth + 1.2 * twig);
  // The hemispheres part except where the corpus callosum and the midbrain join them.
  const apart = Math.max(smoothstep(20, 27, z), smoothstep(36, 44, Math.abs(y)));
  const fissure = apart * smoothstep(2.4, 0.9, side + 0.5 * twig);
  const medial = apart * smoothstep(6.5, 4, side + 0.8 * twig);

  const horns = ellipsoid(side - (6 + 0.004 * (y + 4) ** 2 + 3 * ventricle), y + 2, z - 8, 6.2 * ventricle, 34, 10 * ventricle);
  const third = ellipsoid(x, y - 6, z + 3, 2.2 * ventricle, 12, 8);
  const lake = Math.max(smoothstep(1.15, 0.85, horns), smoothstep(1.3, 0.8, third));
  const thalamus = smoothstep(1.12, 0.88, ellipsoid(side - 12, y - 10, z - 1, 8.5, 13, 9));
  const putamen = smoothstep(1.12, 0.88, ellipsoid(side - (25 + 0.1 * y), y + 6, z - 1, 6, 17, 11));
  const caudate = smoothstep(1.15, 0.85, ellipsoid(side - 14, y + 22, z - 7, 4.5, 10, 9));

  anatomy.grey[i] = Math.max(ribbon, bank, medial, 0.6 * thalamus, 0.9 * putamen, 0.9 * caudate);
  anatomy.fluid[i] = Math.max(lake, 0.9 * sulcus, 0.95 * fissure, 0.55 * smoothstep(2.2, 0.4, depth));
  anatomy.cap[i] = smoothstep(1.45, 1.1, horns) * smoothstep(20, 30, Math.abs(y));
  const sinus = smoothstep(3.6, 2, side) * smoothstep(6, 3, depth) * smoothstep(10, 30, y);
  anatomy.vessel[i] = Math.max(sinus, sulcus * smoothstep(1.3, 2, twig));
}
