/** What the networks of the zoo are made of. */
import type { Feature, GraphBuilder } from '../lib/graph/builder';

export interface NetworkSize {
  /** Channels of the first level; each level below has twice as many. */
  readonly width: number;
  /** Resolutions, the finest included; image sizes must be divisible by 2^(levels − 1). */
  readonly levels: number;
  /** Channels of the logits, background included. */
  readonly classes: number;
}

export const channelsAt = ({ width }: NetworkSize, level: number): number => width * 2 ** level;

/** Two 3×3 convolutions, each with batch normalisation (hence no bias) and ReLU. */
export function doubleConvolution(b: GraphBuilder, name: string, x: Feature, channels: number): Feature {
  let y = x;
  for (const i of [1, 2]) {
    y = b.conv(`${name}.conv${i}`, y, { channels, kernel: 3, bias: false });
    y = b.relu(`${name}.relu${i}`, b.batchNormalization(`${name}.norm${i}`, y));
  }
  return y;
}

/** The contracting path: a double convolution at each level, max-pooling between them. Finest level first. */
export function encoder(b: GraphBuilder, size: NetworkSize): Feature[] {
  const features: Feature[] = [];
  let x = b.image;
  for (let level = 0; level < size.levels; level++) {
    if (level > 0) x = b.maxPool(`encoder.${level}.pool`, x, 2);
    x = doubleConvolution(b, `encoder.${level}`, x, channelsAt(size, level));
    features.push(x);
  }
  return features;
}

/**
 * The expanding path: at each level `merge` joins what comes from below with the skip of that level.
 * @param skips finest level first; the last one is the start
 */
export function decoder(
  skips: readonly Feature[],
  merge: (name: string, below: Feature, skip: Feature, level: number) => Feature,
): Feature {
  return skips.slice(0, -1).reduceRight((below, skip, level) => merge(`decoder.${level}`, below, skip, level), skips.at(-1)!);
}

/** The 1×1 convolution to the logits. */
export function head(b: GraphBuilder, x: Feature, { classes }: NetworkSize): Feature {
  return b.conv('head', x, { channels: classes, kernel: 1 });
}
