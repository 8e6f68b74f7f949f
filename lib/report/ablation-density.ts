/** How much Dice a network loses without one of its features: the density of log |ΔDice| over selected and over other features. */
import type { AblationFindings } from '../faithfulness/findings';
import { mean } from '../statistics';
import { decimals } from '../rounded';
import { chart, MARGIN, text, type Drawing, type Ink } from './charts';
import { html, type Html } from './html';

const SIZE = { width: 420, height: 270 };
/** Places at which a density is computed. */
const PLACES = 120;

type ClassAblation = AblationFindings['classes'][number];

/** Base 10 logarithms of the drops that have one, either way of the sign. */
export function logDrops({ drops, selected }: ClassAblation): {
  readonly selected: number[];
  readonly others: number[];
} {
  const parts = { selected: [] as number[], others: [] as number[] };
  for (const [feature, drop] of drops.entries()) {
    if (drop === null || drop === 0) continue;
    parts[selected.includes(feature) ? 'selected' : 'others'].push(Math.log10(Math.abs(drop)));
  }
  return parts;
}

/** Gaussian kernel density with Silverman's bandwidth. */
export function density(values: readonly number[], at: readonly number[]): number[] {
  const n = values.length;
  if (n === 0) return at.map(() => 0);
  const middle = mean(values);
  const spread = Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
  const bandwidth = Math.max(0.9 * spread * n ** -0.2, 0.1);
  const scale = 1 / (n * bandwidth * Math.sqrt(2 * Math.PI));
  return at.map((x) => scale * values.reduce((sum, value) => sum + Math.exp(-0.5 * ((x - value) / bandwidth) ** 2), 0));
}

/** @param k which class */
export function drawAblationDensity(one: ClassAblation, k: number, { scaleLinear, area, line }: Drawing, ink: Ink): Html {
  const { selected, others } = logDrops(one);
  const all = [...selected, ...others];
  const chosen = ofAll(selected, one.selected.length);
  const rest = ofAll(others, one.drops.length - one.selected.length);
  const [low, high] = all.length > 0 ? [Math.floor(Math.min(...all) - 0.5), Math.min(0, Math.ceil(Math.max(...all) + 0.5))] : [-4, 0];
  const [bottom, right] = [SIZE.height - MARGIN.bottom, SIZE.width - MARGIN.right];
  const x = scaleLinear([low, high], [MARGIN.left, right]);
  const at = Array.from({ length: PLACES }, (_, i) => low + ((high - low) * i) / (PLACES - 1));
  const [ofSelected, ofOthers] = [density(selected, at), density(others, at)];
  const y = scaleLinear([0, 1.08 * Math.max(0.1, ...ofSelected, ...ofOthers)], [bottom, MARGIN.top + 20]);
  const px = (_: number, i: number): number => Number(x(at[i]!).toFixed(1));
  const py = (value: number): number => Number(y(value).toFixed(1));
  const hill = (values: number[]): string => area<number>(px, bottom, py)(values) ?? '';
  const ridge = (values: number[]): string => line<number>(px, py)(values) ?? '';
  const rug = (values: readonly number[], from: number, colour: string): Html[] =>
    values.map(
      (value) =>
        html`<line
          x1="${x(value).toFixed(1)}"
          x2="${x(value).toFixed(1)}"
          y1="${from}"
          y2="${from - 7}"
          stroke="${colour}"
          stroke-width="1.5"
        />`,
    );
  const decades = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  return chart(
    {
      ...SIZE,
      label: `${one.class}: density of the size of the Dice lost without one feature, for ${chosen} selected and ${rest} other features, where it is not 0; mean lost ${number(one.selectedDrop)} and ${number(one.unselectedDrop)}`,
      title: `${one.class}: density of log |ΔDice|, one feature silenced`,
      x: {
        ticks: decades.map((power) => ({ at: x(power), words: power < -3 ? `1e${power}` : String(10 ** power) })),
        label: '|ΔDice| where it is not 0, logarithmic',
      },
      y: { ticks: [] },
      marks: [
        html`<path d="${hill(ofOthers)}" fill="${ink.quiet}" fill-opacity="0.25" /><path
            d="${ridge(ofOthers)}"
            fill="none"
            stroke="${ink.quiet}"
            stroke-width="1.5"
            stroke-dasharray="5 3"
          />`,
        html`<path d="${hill(ofSelected)}" fill="${ink.colour(k)}" fill-opacity="0.45" /><path
            d="${ridge(ofSelected)}"
            fill="none"
            stroke="${ink.text}"
            stroke-width="1.5"
          />`,
        ...rug(others, bottom, ink.quiet),
        ...rug(selected, bottom - 8, ink.text),
        html`<rect
          x="${MARGIN.left}"
          y="${MARGIN.top}"
          width="12"
          height="10"
          fill="${ink.colour(k)}"
          fill-opacity="0.45"
          stroke="${ink.text}"
        />`,
        text(MARGIN.left + 17, MARGIN.top + 10, 'start', `${chosen} selected`, ink.text),
        html`<rect
          x="${MARGIN.left + 150}"
          y="${MARGIN.top}"
          width="12"
          height="10"
          fill="${ink.quiet}"
          fill-opacity="0.25"
          stroke="${ink.quiet}"
          stroke-dasharray="3 2"
        />`,
        text(MARGIN.left + 167, MARGIN.top + 10, 'start', `${rest} others`, ink.text),
      ],
    },
    ink,
  );
}

/** `3`, or `3 of 5` where not all have a logarithm. */
function ofAll({ length }: readonly number[], all: number): string {
  return length === all ? String(all) : `${length} of ${all}`;
}

function number(value: number | null): string {
  return value === null ? '-' : decimals(value, 4);
}
