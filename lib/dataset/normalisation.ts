/** How voxel intensities become network inputs, per case and modality. MR intensities have no unit, so each volume sets its own scale. */
import { TracinError } from '../errors';
import type { Voxels } from './nifti';

/**
 * - `zscore` (default): (v − mean) / std over the volume's non-zero voxels, population std; zero (skull-stripped background) stays 0.
 * - `paper`: 2v / max − 1 over the whole volume (Torda et al. 2025), so background is −1 and the brightest voxel 1.
 */
export type Normalisation = 'zscore' | 'paper';
export const NORMALISATIONS: readonly Normalisation[] = ['zscore', 'paper'];

/**
 * Normalises an image cut out of `volume` in place, with the statistics of the whole volume.
 * @throws ERR_TRACIN_DATA when the volume has no contrast to scale by
 */
export function normaliser(normalisation: Normalisation, volume: Voxels, path: string): (image: Float32Array) => void {
  return normalisation === 'zscore' ? zscore(volume, path) : paper(volume, path);
}

function zscore(volume: Voxels, path: string): (image: Float32Array) => void {
  let count = 0;
  let sum = 0;
  for (let i = 0; i < volume.length; i++) {
    const value = volume[i]!;
    sum += value;
    if (value !== 0) count++;
  }
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < volume.length; i++) {
    const value = volume[i]!;
    if (value !== 0) squares += (value - mean) * (value - mean);
  }
  const std = Math.sqrt(squares / count);
  if (!(std > 0)) throw flat(path, count === 0 ? 'holds only zeros' : 'holds one value only');
  return (image) => {
    for (let i = 0; i < image.length; i++) if (image[i] !== 0) image[i] = (image[i]! - mean) / std;
  };
}

function paper(volume: Voxels, path: string): (image: Float32Array) => void {
  let max = -Infinity;
  for (let i = 0; i < volume.length; i++) if (volume[i]! > max) max = volume[i]!;
  if (!(max > 0)) throw flat(path, 'has no voxel above zero');
  return (image) => {
    for (let i = 0; i < image.length; i++) image[i] = (2 * image[i]!) / max - 1;
  };
}

function flat(path: string, what: string): TracinError {
  return new TracinError('ERR_TRACIN_DATA', `${path}: the image ${what} and cannot be normalised: check the file`);
}
