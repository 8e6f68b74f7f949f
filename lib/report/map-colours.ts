/** How strongly and in which colour a pixel of an influence map is shown. */

/** Told apart by people with any of the common colour blindnesses (Okabe & Ito 2008), and of about the same lightness on black. */
export const PUSHES = [255, 150, 30] as const;
export const PULLS = [60, 170, 255] as const;
/** Share of the region's pixels, by weight, that are shown in a paler colour than the strongest. */
const FULL = 0.99;

export interface PixelColour {
  readonly colour: readonly [number, number, number];
  /** 0: nothing, 1: full colour. */
  readonly strength: number;
}

/** The colour of each number of one map; full colour is all but the strongest few of the pixels that hold anything. */
export function mapColours(map: Float32Array): (value: number) => PixelColour {
  const strengths = map
    .filter((value) => value !== 0)
    .map(Math.abs)
    .sort();
  const full = strengths[Math.ceil(FULL * strengths.length) - 1] ?? 0;
  return (value) => ({ colour: value > 0 ? PUSHES : PULLS, strength: full > 0 ? Math.min(1, Math.abs(value) / full) : 0 });
}
