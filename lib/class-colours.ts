/**
 * The colours classes are shown in, everywhere: red, green, blue from 0 to 255, in label order. Okabe and Ito's set
 * ("Color Universal Design", 2008), told apart by people with any of the common colour blindnesses; ordered so that neighbouring tumour
 * regions (necrosis in enhancement in oedema) differ in lightness too.
 */
export const CLASS_COLOURS = [
  [213, 94, 0],
  [86, 180, 233],
  [240, 228, 66],
  [204, 121, 167],
  [0, 158, 115],
  [230, 159, 0],
  [0, 114, 178],
] as const;

/** Colour of foreground class k, from 0; they repeat after the last. */
export function classColour(k: number): readonly [number, number, number] {
  return CLASS_COLOURS[k % CLASS_COLOURS.length]!;
}
