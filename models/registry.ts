/** The network zoo by name. */
import { GraphBuilder, type Feature } from '../lib/graph/builder';
import type { Graph } from '../lib/graph/graph';
import { check, oneOf, optional, whole, type Kinds } from '../lib/kinds';
import { atOnce, inTurns, type Turns } from '../lib/turns';
import { attentionUnet } from './attention-unet';
import type { NetworkSize } from './blocks';
import { deepseg } from './deepseg';
import { resunet } from './resunet';
import { unet } from './unet';

interface NetworkEntry {
  /** The paper's size. */
  readonly width: number;
  readonly levels: number;
  /** Adds the network to a builder, from its image to the logits. */
  readonly build: (builder: GraphBuilder, size: NetworkSize) => Feature;
}

const ENTRIES = {
  unet: { width: 64, levels: 5, build: unet },
  deepseg: { width: 32, levels: 5, build: deepseg },
  resunet: { width: 64, levels: 4, build: resunet },
  'attention-unet': { width: 64, levels: 5, build: attentionUnet },
} as const satisfies Record<string, NetworkEntry>;

/** A network of the zoo. */
export type NetworkName = keyof typeof ENTRIES;

/** The networks of the zoo by name. */
export const NETWORKS = Object.keys(ENTRIES) as readonly NetworkName[];

/** Which network of the zoo is built, and its size. */
export interface NetworkOptions {
  readonly network: NetworkName;
  /** Channels of the first level; the paper's by default. */
  readonly width?: number | undefined;
  /** Resolutions; the paper's by default. Image sizes must be divisible by 2^(levels − 1). */
  readonly levels?: number | undefined;
  /** Image channels, default 4. */
  readonly modalities?: number | undefined;
  /** Channels of the logits, background included, default 4. */
  readonly classes?: number | undefined;
  /** Of the initial numbers, default 0: same seed, same bytes. */
  readonly seed?: number | undefined;
}

const OPTIONS: Kinds<NetworkOptions> = {
  network: oneOf(NETWORKS),
  width: optional(whole(1, 1024)),
  levels: optional(whole(2, 8)),
  modalities: optional(whole(1, 1024)),
  classes: optional(whole(2, 256)),
  seed: optional(whole(0, 2 ** 32 - 1)),
};

/**
 * A network of the zoo with its initial numbers: `image` [N, M, H, W] to `logits` [N, C, H, W], ending in its 1×1 head convolution.
 * @throws TracinError ERR_TRACIN_USAGE for an unknown name or an impossible size
 */
export function buildNetwork(options: NetworkOptions): Graph {
  return atOnce(building(options));
}

/** As {@link buildNetwork}, with turns for others: the papers' sizes take seconds. */
export function buildNetworkInTurns(options: NetworkOptions): Promise<Graph> {
  return inTurns(building(options));
}

function* building(options: NetworkOptions): Turns<Graph> {
  check('buildNetwork', options, OPTIONS);
  const { network, modalities = 4, classes = 4, seed = 0 } = options;
  const entry: NetworkEntry = ENTRIES[network];
  const { width = entry.width, levels = entry.levels } = options;
  const builder = new GraphBuilder({ name: network, modalities, seed });
  const size: NetworkSize = { width, levels, classes };
  return yield* builder.building(entry.build(builder, size));
}
