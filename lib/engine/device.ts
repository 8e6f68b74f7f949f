/** What `--device` can say. */
import { TracinError } from '../errors';
import type { EngineName } from './engine';

/** `cuda` is the first GPU, `cuda:1` the one with index 1, `cuda:0,cuda:1` both. */
export type DeviceName = 'auto' | EngineName | `cuda:${string}`;

/** Fastest first: the order in which `auto` tries. */
export const ENGINES: readonly EngineName[] = ['cuda', 'cpu', 'reference'];

export const DEVICE_WORDS = 'auto, cuda, cuda:1, cpu or reference';

/** One engine on one device. */
export interface Place {
  readonly engine: EngineName;
  /** Index of the GPU. */
  readonly index: number;
}

/**
 * The places a device name means, in its order; of `auto` all there are to try.
 * @throws ERR_TRACIN_USAGE for an unknown name or one GPU named twice
 */
export function placesOf(device: DeviceName): Place[] {
  if (device === 'auto') return ENGINES.map((engine) => ({ engine, index: 0 }));
  const places = String(device)
    .split(',')
    .map((word): Place => {
      const [, name, index = '0'] = /^(cuda|cpu|reference)(?:(?<=cuda):(\d{1,3}))?$/.exec(word) ?? [];
      if (name === undefined) throw new TracinError('ERR_TRACIN_USAGE', `device: ${word} is unknown; use ${DEVICE_WORDS}`);
      return { engine: name as EngineName, index: Number(index) };
    });
  const twice = places.find(({ engine, index }, i) => i > 0 && (engine !== 'cuda' || places.findIndex((p) => p.index === index) < i));
  if (twice || (places.length > 1 && places[0]!.engine !== 'cuda')) {
    throw new TracinError('ERR_TRACIN_USAGE', `device: ${device} must name different GPUs, such as cuda:0,cuda:1`);
  }
  return places;
}
