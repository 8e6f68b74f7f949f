/** The interpretative map of a class as a figure: FI of every feature against rank, the selected ones in colour. */
import { classColour } from '../class-colours';
import type { Features } from '../explanation/files';
import { html, type Html } from './html';

const [WIDTH, HEIGHT] = [720, 400];
const MARGIN = { left: 48, right: 120, top: 32, bottom: 40 };
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/**
 * @param importance FI, float32 [K, F, N] by rank, as in STUDY/features
 * @param k which class
 * @returns an SVG file
 */
export function drawInterpretativeMap({ similarity, features: count, classes }: Features, importance: Float32Array, k: number): string {
  const { class: name, tests, trainings, features } = classes[k]!;
  const ranks = importance.length / (classes.length * count);
  const [width, height] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const x = (rank: number): number => MARGIN.left + (trainings < 2 ? 0 : ((rank - 1) / (trainings - 1)) * width);
  const y = (value: number): number => MARGIN.top + (1 - value) * height;
  const path = (feature: number): string => {
    const from = (k * count + feature) * ranks;
    const points = Array.from(importance.subarray(from, from + trainings), (value, i) => [value, i + 1] as const);
    return points.flatMap(([value, rank]) => (Number.isNaN(value) ? [] : [`${x(rank).toFixed(1)},${y(value).toFixed(1)}`])).join(' ');
  };
  const selected = features.filter((one) => one.selected).map(({ feature }) => feature);
  const curve = (feature: number, colour: string, thickness: number): Html =>
    html`<polyline points="${path(feature)}" fill="none" stroke="${colour}" stroke-width="${thickness}" stroke-linejoin="round" />`;
  const text = (left: number, top: number, anchor: string, words: string, colour = '#444'): Html =>
    html`<text x="${left}" y="${top}" text-anchor="${anchor}" fill="${colour}">${words}</text>`;
  const colourOf = (i: number): string => `rgb(${classColour(i).join(',')})`;
  const svg = html`<svg
    xmlns="http://www.w3.org/2000/svg"
    width="${WIDTH}"
    height="${HEIGHT}"
    viewBox="0 0 ${WIDTH} ${HEIGHT}"
    font-family="sans-serif"
    font-size="12"
  >
    <rect width="100%" height="100%" fill="white" />
    ${text(MARGIN.left, 18, 'start', `${name}: feature importance by rank, ${similarity}, mean over ${tests} test regions`, '#000')}
    ${TICKS.map((tick) => html`<line x1="${MARGIN.left}" x2="${MARGIN.left + width}" y1="${y(tick)}" y2="${y(tick)}" stroke="#ddd" />${text(MARGIN.left - 6, y(tick) + 4, 'end', String(tick))}`)}
    ${text(MARGIN.left, HEIGHT - 20, 'start', '1')}${text(MARGIN.left + width, HEIGHT - 20, 'end', String(trainings))}
    ${text(MARGIN.left + width / 2, HEIGHT - 8, 'middle', 'rank of the training region, by falling influence')}
    ${features.filter((one) => !one.selected).map(({ feature }) => curve(feature, '#bbb', 1))}
    ${selected.map((feature, i) => curve(feature, colourOf(i), 2))}
    ${selected.map((feature, i) => text(WIDTH - MARGIN.right + 10, MARGIN.top + 14 + 16 * i, 'start', `feature ${feature}`, colourOf(i)))}
    ${text(WIDTH - MARGIN.right + 10, MARGIN.top + 14 + 16 * selected.length, 'start', selected.length > 0 ? 'not selected' : 'none selected', '#888')}
  </svg>`;
  return `${svg.text}\n`;
}
