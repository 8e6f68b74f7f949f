/** A synthetic glioma: a core of enhancing rim (ET) around necrosis (NCR), off the middle of an oedema (ED) that follows white matter. */
import type { Anatomy } from './anatomy';
import { smoothField, smoothstep, voxelCount, type Grid, type Random } from './fields';

export interface TumourPlan {
  /** Of the core, mm from the middle of the brain. */
  readonly centre: readonly [number, number, number];
  /** Of the oedema, mm from the core's centre. */
  readonly drift: readonly [number, number, number];
  /** Mean radii, mm. */
  readonly coreRadius: number;
  readonly edemaRadius: number;
  /** The core's and the oedema's half axes relative to their radius. */
  readonly stretch: readonly [number, number, number];
  /** NCR's radius as a share of the core's: far below 0 without NCR, far beyond 1 without ET. */
  readonly necrosis: number;
}

export interface TumourTraits {
  readonly ncr: boolean;
  readonly et: boolean;
}

/** How much of each voxel is oedema, enhancing, necrotic (soft edges, as partial volume makes them), and the expert's labels 0..3. */
export interface Tumour {
  readonly edema: Float32Array;
  readonly enhancing: Float32Array;
  readonly necrotic: Float32Array;
  readonly labels: Uint8Array;
}

export function planTumour(traits: TumourTraits, random: Random): TumourPlan {
  const side = random.between(0, 1) < 0.5 ? -1 : 1;
  const solid = !traits.ncr || !traits.et;
  const coreRadius = solid ? random.between(12, 17) : random.between(15, 21);
  const long = random.between(0.85, 1.2);
  const wide = random.between(0.85, 1.15);
  return {
    centre: [side * random.between(24, 36), random.between(-36, 38), random.between(-16, 24)],
    drift: [-side * random.between(0, 5), random.between(-8, 8), random.between(-4, 4)],
    coreRadius,
    edemaRadius: coreRadius * random.between(1.5, 1.9) + 3,
    stretch: [wide, long, 1 / (wide * long)],
    necrosis: !traits.ncr ? -10 : !traits.et ? 10 : random.between(0.58, 0.72),
  };
}

/** Half the width of a border over which tissues mix, as a share of the radius. */
const MIX = 0.09;

/** A field less its value at the core's centre, so that it bends the core but does not eat it up. */
function fromCentre(field: Float32Array, { shape, spacing }: Grid, { centre }: TumourPlan): Float32Array {
  const [x, y, z] = shape.map((n, axis) => Math.min(n - 1, Math.max(0, Math.round(centre[axis]! / spacing[axis]! + (n - 1) / 2)))) as [
    number,
    number,
    number,
  ];
  const offset = field[(z * shape[1] + y) * shape[0] + x]!;
  return field.map((value) => value - offset);
}

export function growTumour(grid: Grid, anatomy: Anatomy, plan: TumourPlan, random: Random): Tumour {
  const [nx, ny, nz] = grid.shape;
  const shapeNoise = fromCentre(smoothField(grid, 19, random), grid, plan);
  const rimNoise = smoothField(grid, 10, random);
  const fingers = smoothField(grid, 22, random);
  const count = voxelCount(grid);
  const tumour: Tumour = {
    edema: new Float32Array(count),
    enhancing: new Float32Array(count),
    necrotic: new Float32Array(count),
    labels: new Uint8Array(count),
  };
  const { centre, drift, stretch } = plan;
  for (let z = 0, i = 0; z < nz; z++) {
    const dz = (z - (nz - 1) / 2) * grid.spacing[2] - centre[2];
    for (let y = 0; y < ny; y++) {
      const dy = (y - (ny - 1) / 2) * grid.spacing[1] - centre[1];
      for (let x = 0; x < nx; x++, i++) {
        if (!anatomy.inside[i]) continue;
        const dx = (x - (nx - 1) / 2) * grid.spacing[0] - centre[0];
        const reach =
          Math.hypot((dx - drift[0]) / stretch[0], (dy - drift[1]) / stretch[1], (dz - drift[2]) / stretch[2]) / plan.edemaRadius;
        if (reach > 2) continue;
        const barrier = 0.22 * anatomy.grey[i]! + 0.8 * anatomy.fluid[i]!;
        const whole = 1 - (reach + 0.24 * fingers[i]! + barrier);
        const radius = Math.hypot(dx / stretch[0], dy / stretch[1], dz / stretch[2]) / plan.coreRadius;
        const core = 1 - (radius + 0.17 * shapeNoise[i]! + 0.06 * rimNoise[i]! + 0.6 * anatomy.fluid[i]!);
        const inner = plan.necrosis - (radius + 0.14 * shapeNoise[i]! + 0.09 * rimNoise[i]!);
        const wCore = smoothstep(-MIX, MIX, core);
        const wInner = smoothstep(-MIX, MIX, inner);
        tumour.necrotic[i] = wCore * wInner;
        tumour.enhancing[i] = wCore * (1 - wInner);
        tumour.edema[i] = (1 - wCore) * smoothstep(-1.5 * MIX, 1.5 * MIX, whole);
        tumour.labels[i] = core > 0 ? (inner > 0 ? 1 : 3) : whole > 0 ? 2 : 0;
      }
    }
  }
  return tumour;
}
