/** How voxel intensities become network inputs, per case and modality. MR intensities have no unit, so each volume sets its own scale. */
import { TracinError } from '../errors';
import type { Voxels } from './nifti';

/**
 * - `zscore` (default): (v − mean) / std over the volume's non-zero voxels, population std; zero (skull-stripped background) stays 0.
 * - `paper`: 2v / max − 1 over the whole volume (Torda et al. 2025), so background is −1 and the brightest voxel 1.
 */
export type Normalisation = 'zscore' | 'paper';
export const NORMALISATIONS: readonly Normalisation[] = ['zscore', 'paper'];

/** What becomes of a voxel v: `zero` where v is 0 and outside the volume, else v · scale + shift. */
export interface Scaling {
  readonly scale: number;
  readonly shift: number;
  readonly zero: number;
}
export const AS_STORED: Scaling = { scale: 1, shift: 0, zero: 0 };

/**
 * How the images cut out of a volume are normalised, from the statistics of the whole volume.
 * @throws ERR_TRACIN_DATA when the volume has no contrast to scale by
 */
export function scalingOf(normalisation: Normalisation, volume: Voxels, path: string): Scaling {
  return normalisation === 'zscore' ? zscore(volume, path) : paper(volume, path);
}

function zscore(volume: Voxels, path: string): Scaling {
  // Mean and variance in one pass: about a voxel's value instead of about 0, the difference of two sums keeps its digits.
  const origin = volume.find((value) => value !== 0) ?? 0;
  let count = 0;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < volume.length; i++) {
    const value = volume[i]!;
    if (value === 0) continue;
    const distance = value - origin;
    count++;
    sum += distance;
    squares += distance * distance;
  }
  const mean = origin + sum / count;
  const std = Math.sqrt((squares - (sum * sum) / count) / count);
  if (!(std > 0)) throw flat(path, count === 0 ? 'holds only zeros' : 'holds one value only');
  return { scale: 1 / std, shift: -mean / std, zero: 0 };
}

function paper(volume: Voxels, path: string): Scaling {
  let max = -Infinity;
  for (let i = 0; i < volume.length; i++) if (volume[i]! > max) max = volume[i]!;
  if (!(max > 0)) throw flat(path, 'has no voxel above zero');
  return { scale: 2 / max, shift: -1, zero: -1 };
}

function flat(path: string, what: string): TracinError {
  return new TracinError('ERR_TRACIN_DATA', `${path}: the image ${what} and cannot be normalised: check the file`);
}
