/**
 * Which way up a slice is shown. Images are [H, W] = [first, second voxel axis] (see dataset/frame.ts); people expect the radiological
 * convention: as if the patient lay on the back and were seen from the feet, the patient's right on the picture's left.
 */
import type { Affine } from '../dataset/affine';

/** What lies towards each edge of a picture: R right, L left, A anterior, P posterior, S superior, I inferior of the patient. */
export interface Edges {
  readonly left: string;
  readonly right: string;
  readonly top: string;
  readonly bottom: string;
}

/** One axis of a picture: which image axis runs along it, and whether backwards. */
interface PictureAxis {
  readonly axis: 0 | 1;
  readonly reversed: boolean;
}

export interface Orientation {
  /** axial, coronal or sagittal; `as stored` where there is no geometry to go by. */
  readonly plane: 'axial' | 'coronal' | 'sagittal' | 'as stored';
  readonly across: PictureAxis;
  readonly down: PictureAxis;
  /** Height of a pixel over its width, in mm. */
  readonly aspect: number;
  readonly edges: Edges | undefined;
}

/** World axes of NIfTI are RAS: they grow towards the patient's right, front and top. */
const TOWARDS = ['R', 'A', 'S'] as const;
const AWAY = ['L', 'P', 'I'] as const;

/** By the world axis that the slices are stacked along: what runs across the picture and down it; all of them run backwards (to L, P, I). */
const PLANES = [
  { plane: 'sagittal', across: 1, down: 2 },
  { plane: 'coronal', across: 0, down: 2 },
  { plane: 'axial', across: 0, down: 1 },
] as const;

const PERMUTATIONS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] as const; // prettier-ignore

/** Without geometry: rows down, columns across. */
export const AS_STORED: Orientation = {
  plane: 'as stored',
  across: { axis: 1, reversed: false },
  down: { axis: 0, reversed: false },
  aspect: 1,
  edges: undefined,
};

/**
 * The radiological orientation of slices along the third voxel axis. Oblique volumes are shown by the nearest anatomical axes, uncut.
 * @param affine voxel to RAS millimetres
 */
export function orientationOf(affine: Affine): Orientation {
  const cosine = (world: number, voxel: number): number => affine[world * 4 + voxel]! / edge(affine, voxel);
  // World axis of each voxel axis, so that together they point as nearly the same way as can be.
  const fit = (worlds: readonly number[]): number => worlds.reduce((sum, world, voxel) => sum + Math.abs(cosine(world, voxel)), 0);
  const worlds = PERMUTATIONS.reduce((best, worlds) => (fit(worlds) > fit(best) ? worlds : best));
  const { plane, across, down } = PLANES[worlds[2]];
  const axisOf = (world: 0 | 1 | 2): PictureAxis => {
    const axis = worlds[0] === world ? 0 : 1;
    return { axis, reversed: cosine(world, axis) > 0 };
  };
  const [horizontal, vertical] = [axisOf(across), axisOf(down)];
  return {
    plane,
    across: horizontal,
    down: vertical,
    aspect: edge(affine, vertical.axis) / edge(affine, horizontal.axis),
    edges: { left: TOWARDS[across], right: AWAY[across], top: TOWARDS[down], bottom: AWAY[down] },
  };
}

function edge(affine: Affine, voxel: number): number {
  return Math.hypot(affine[voxel]!, affine[4 + voxel]!, affine[8 + voxel]!);
}

/** An image as it is shown: row by row from the top, each from the left. */
export interface Upright<A> {
  readonly width: number;
  readonly height: number;
  readonly data: A;
}

/** Turns an image [H, W] the way people expect it. */
export function upright<A extends Float32Array | Uint8Array>(image: A, size: readonly number[], { across, down }: Orientation): Upright<A> {
  const [width, height] = [size[across.axis]!, size[down.axis]!];
  const strides = [size[1]!, 1];
  const data = image.slice() as A;
  for (let row = 0, to = 0; row < height; row++) {
    const start = (down.reversed ? height - 1 - row : row) * strides[down.axis]!;
    for (let column = 0; column < width; column++, to++) {
      data[to] = image[start + (across.reversed ? width - 1 - column : column) * strides[across.axis]!]!;
    }
  }
  return { width, height, data };
}
