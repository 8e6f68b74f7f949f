/** What every chart shares: scales and shapes of d3, the colours to draw in, a frame with axes. */
import { classColour } from '../class-colours';
import { html, type Html } from './html';

/** d3 is ESM only and this package is not, so charts are handed what they draw with. */
export async function loadDrawing() {
  const [{ scaleLinear, scaleLog }, { area, line }] = await Promise.all([import('d3-scale'), import('d3-shape')]);
  return { scaleLinear, scaleLog, area, line };
}
export type Drawing = Awaited<ReturnType<typeof loadDrawing>>;

/** CSS colours. */
export interface Ink {
  readonly text: string;
  readonly quiet: string;
  readonly line: string;
  readonly paper: string;
  /** Of foreground class k. */
  readonly colour: (k: number) => string;
}

/** As the page's style sheet has them, in light and in dark. */
export const PAGE_INK: Ink = {
  text: 'var(--ink)',
  quiet: 'var(--quiet)',
  line: 'var(--line)',
  paper: 'var(--card)',
  colour: (k) => `var(--class-${k})`,
};

/** For a file of its own. */
export const FILE_INK: Ink = {
  text: '#1d2126',
  quiet: '#5a636e',
  line: '#dfdcd6',
  paper: '#ffffff',
  colour: (k) => `rgb(${classColour(k).join(',')})`,
};

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Room around the plot for axes and words. */
export const MARGIN = { left: 52, right: 14, top: 32, bottom: 46 };

/** Size of all words. */
const FONT = 14;

export interface Tick {
  /** In pixels. */
  readonly at: number;
  readonly words: string;
}

export interface Chart extends Size {
  /** For people who cannot see it. */
  readonly label: string;
  /** Written above the plot. */
  readonly title: string;
  readonly x: { readonly ticks: readonly Tick[]; readonly label: string };
  readonly y: { readonly ticks: readonly Tick[] };
  readonly marks: readonly Html[];
}

export function text(x: number, y: number, anchor: 'start' | 'middle' | 'end', words: string, colour: string): Html {
  return html`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${words}</text>`;
}

/** Width of a mean letter over its height, in the widest of the usual fonts. */
const LETTER = 0.52;

/** The words above a plot; set more narrowly where a long name would take them out of the picture. */
function heading(words: string, width: number, colour: string): Html {
  const narrower = words.length * LETTER * FONT > width;
  const fit = narrower && html`textLength="${width}" lengthAdjust="spacingAndGlyphs"`;
  return html`<text x="0" y="18" fill="${colour}" ${fit}>${words}</text>`;
}

/** An SVG that scales with the room it is given. */
export function chart({ width, height, label, title, x, y, marks }: Chart, ink: Ink): Html {
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  return html`<svg
    xmlns="http://www.w3.org/2000/svg"
    class="chart"
    role="img"
    aria-label="${label}"
    width="${width}"
    height="${height}"
    viewBox="0 0 ${width} ${height}"
    font-family="system-ui, sans-serif"
    font-size="${FONT}"
  >
    <rect width="100%" height="100%" fill="${ink.paper}" />
    ${heading(title, width, ink.text)}
    ${y.ticks.map(({ at, words }) => html`<line x1="${MARGIN.left}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="${ink.line}" />${text(MARGIN.left - 6, at + 4, 'end', words, ink.quiet)}`)}
    ${x.ticks.map(({ at, words }) => text(at, bottom + 17, 'middle', words, ink.quiet))}
    ${text((MARGIN.left + right) / 2, height - 8, 'middle', x.label, ink.quiet)} ${marks}
    <line x1="${MARGIN.left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="${ink.quiet}" />
  </svg>`;
}

/** A line in a class's colour, dark underneath so that it shows on light paper too. */
export function casedLine(path: string, colour: string, ink: Ink, title: string): Html {
  return html`<g fill="none" stroke-linejoin="round"
    ><title>${title}</title><path d="${path}" stroke="${ink.text}" stroke-width="3.4" stroke-opacity="0.75" /><path
      d="${path}"
      stroke="${colour}"
      stroke-width="2"
  /></g>`;
}
