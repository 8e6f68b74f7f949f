/** Pictures with their overlays, as SVG. The bytes of a picture stand once in the page, at its head; each showing refers to them. */
import { html, type Html } from './html';
import type { Report } from './model';
import type { Picture } from './picture';

const idOf = (picture: number): string => `picture-${picture}`;

/** All pictures, out of sight. */
export function pictureStore({ pictures }: Report): Html {
  const images = pictures.map(
    ({ width, height, png }, i) =>
      html`<image id="${idOf(i)}" width="${width}" height="${height}" preserveAspectRatio="none" href="${png}" />`,
  );
  return html`<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>${images}</defs></svg>`;
}

export interface Film {
  readonly pictures: readonly Picture[];
  /** Which of them. */
  readonly picture: number;
  /** For people who cannot see it. */
  readonly label: string;
  readonly overlays: readonly Html[];
  /** Whether to write at the edges what of the patient lies there. */
  readonly edges?: boolean | undefined;
}

export function film({ pictures, picture, label, overlays, edges }: Film): Html {
  const shown = pictures[picture]!;
  const { width, height, aspect } = shown;
  return html`<svg
    class="film"
    role="img"
    aria-label="${label}"
    viewBox="0 0 ${width} ${height}"
    preserveAspectRatio="none"
    style="aspect-ratio:${width}/${(height * aspect).toFixed(2)}"
  >
    <use href="#${idOf(picture)}" />
    <g class="overlay">${overlays}</g>
    ${edges && edgeLetters(shown)}
  </svg>`;
}

function edgeLetters({ width, height, edges }: Picture): Html | undefined {
  if (!edges) return undefined;
  const scale = Math.max(width, height) / 96;
  const letter = (x: number, y: number, anchor: string, text: string): Html =>
    html`<text x="0" y="0" transform="translate(${x} ${y}) scale(${scale.toFixed(3)})" text-anchor="${anchor}">${text}</text>`;
  const margin = 2 * scale;
  return html`<g aria-hidden="true"
    >${[
      letter(margin, height / 2 + margin, 'start', edges.left),
      letter(width - margin, height / 2 + margin, 'end', edges.right),
      letter(width / 2, 7 * scale, 'middle', edges.top),
      letter(width / 2, height - margin, 'middle', edges.bottom),
    ]}</g
  >`;
}

/** A region of class k filled: what the network says. */
export function filled(path: string, k: number): Html | undefined {
  return path === '' ? undefined : html`<path class="fill" style="--colour:var(--class-${k})" d="${path}" />`;
}

/** The border of a region of class k, dark underneath so that it shows on any grey. */
export function outlined(path: string, k: number): Html | undefined {
  return path === ''
    ? undefined
    : html`<path class="halo" d="${path}" /><path class="border" style="--colour:var(--class-${k})" d="${path}" />`;
}
