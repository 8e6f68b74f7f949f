/** Pictures with their overlays, as SVG. The bytes of a picture stand once in the page, at its head; each showing refers to them. */
import { html, type Html } from './html';
import type { Report } from './model';
import { largestLoop, type Bounds } from './outline';
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
  readonly overlays: readonly (Html | undefined)[];
  /** Show what lies around this outline alone. */
  readonly around?: string | undefined;
  /** Whether to write at the edges what of the patient lies there. */
  readonly edges?: boolean | undefined;
}

/** Of a picture's longer side, what is shown around a region at least, and the room left on all its sides. */
const CLOSEST = 1 / 3;
const ROOM = 0.35;

/** A window of the picture's own shape around a region. */
function windowAround(outline: string, { width, height }: Picture): Bounds {
  const bounds = largestLoop(outline);
  if (!bounds) return { x: 0, y: 0, width, height };
  const share = Math.min(1, Math.max(CLOSEST, (bounds.width / width) * (1 + 2 * ROOM), (bounds.height / height) * (1 + 2 * ROOM)));
  const along = (length: number, from: number, extent: number): number =>
    Math.min(Math.max(0, from + extent / 2 - (share * length) / 2), (1 - share) * length);
  return {
    x: along(width, bounds.x, bounds.width),
    y: along(height, bounds.y, bounds.height),
    width: share * width,
    height: share * height,
  };
}

export function film({ pictures, picture, label, overlays, around, edges }: Film): Html {
  const shown = pictures[picture]!;
  const { aspect } = shown;
  const { x, y, width, height } = windowAround(around ?? '', shown);
  const box = [x, y, width, height].map((number) => Number(number.toFixed(1))).join(' ');
  return html`<svg
    class="film"
    role="img"
    aria-label="${label}"
    viewBox="${box}"
    preserveAspectRatio="none"
    style="aspect-ratio:${width}/${(height * aspect).toFixed(2)}"
  >
    <use href="#${idOf(picture)}" />
    ${overlays} ${edges && edgeLetters(shown)}
  </svg>`;
}

/** Drawn on square pixels, so that letters keep their shape where the picture is stretched. */
function edgeLetters({ width, height: rows, aspect, edges }: Picture): Html | undefined {
  if (!edges) return undefined;
  const height = rows * aspect;
  const scale = Math.max(width, height) / 96;
  const letter = (x: number, y: number, anchor: string, text: string): Html =>
    html`<text x="0" y="0" transform="translate(${x} ${y}) scale(${scale.toFixed(3)})" text-anchor="${anchor}">${text}</text>`;
  const margin = 2 * scale;
  return html`<g aria-hidden="true" transform="scale(1 ${1 / aspect})"
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

/** An influence map over its slice, which is dimmed so that pale colours show on bright tissue too; the region in white. */
export function mapLayer(pictures: readonly Picture[], picture: number, outline: string): Html {
  const { width, height } = pictures[picture]!;
  return html`<g class="maps"
    ><rect class="dim" width="${width}" height="${height}" /><use href="#${idOf(picture)}" />${
      outline !== '' && html`<path class="white" d="${outline}" />`
    }</g
  >`;
}
