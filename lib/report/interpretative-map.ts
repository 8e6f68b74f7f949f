/** The interpretative map of a class as a figure: FI of every feature against rank, the selected ones in the colour of the class. */
import { decimals } from '../rounded';
import { casedLine, chart, MARGIN, text, type Drawing, type Ink } from './charts';
import { html, type Html } from './html';
import type { FeatureCurve, FeatureReport, InterpretativeMap } from './model';
import { counted } from './numbers';

const SIZE = { width: 420, height: 300 };
const TICKS = [0, 0.25, 0.5, 0.75, 1];
/** Selected features named at the end of their curves, those of strongest contrast. */
const NAMED = 6;
const NAMES = 70;

/** Names of the figures' own files, one for each class; with the label's number where what a file may be called would not tell them apart. */
export function interpretativeFiles(classes: readonly string[]): string[] {
  const names = classes.map((name) => name.replaceAll(/[^\w.-]/g, '_'));
  return names.map((name, k) => `interpretative-map-${name}${names.indexOf(name) === names.lastIndexOf(name) ? '' : `-${k + 1}`}.svg`);
}

/** @param k which class */
export function drawInterpretativeMap(
  { similarity }: Pick<FeatureReport, 'similarity'>,
  { class: name, tests, trainings, ranks, curves }: InterpretativeMap,
  k: number,
  { scaleLinear, line }: Drawing,
  ink: Ink,
): Html {
  const right = SIZE.width - MARGIN.right - NAMES;
  const x = scaleLinear([1, Math.max(2, trainings)], [MARGIN.left, right]);
  // Similarities are at most 1; a cosine may fall below 0.
  const least = Math.min(0, ...curves.flatMap(({ points }) => points));
  const y = scaleLinear([least, 1], [SIZE.height - MARGIN.bottom, MARGIN.top]);
  const path = ({ points }: FeatureCurve): string =>
    line<number>((_, i) => Number(x(ranks[i]!).toFixed(1)), (value) => Number(y(value).toFixed(1)))(points) ?? ''; // prettier-ignore
  const selected = curves.filter((curve) => curve.selected).sort((a, b) => b.contrast! - a.contrast!);
  const ticks = x.ticks(5).filter(Number.isInteger);
  const words = `${selected.length} of ${curves.length} features shown are selected`;
  return chart(
    {
      ...SIZE,
      label: `${name}: feature importance FI against rank, ${similarity}, mean over ${counted(tests, 'test region')} and ${counted(trainings, 'rank')}; ${words}`,
      title: `${name}: FI by rank, ${similarity}, ${counted(tests, 'test region')}`,
      x: {
        ticks: [1, ...ticks.filter((tick) => tick > 1)].map((tick) => ({ at: x(tick), words: String(tick) })),
        label: 'rank of the training region, by falling influence',
      },
      y: { ticks: (least < 0 ? [least, ...TICKS] : TICKS).map((tick) => ({ at: y(tick), words: String(Number(tick.toFixed(2))) })) },
      marks: [
        ...curves
          .filter((curve) => !curve.selected)
          .map(
            (curve) =>
              html`<path d="${path(curve)}" fill="none" stroke="${ink.quiet}" stroke-opacity="0.45"
                ><title>feature ${curve.feature}, not selected</title></path
              >`,
          ),
        ...selected
          .toReversed()
          .map((curve) =>
            casedLine(
              path(curve),
              ink.colour(k),
              ink,
              `feature ${curve.feature}, selected: contrast ${decimals(curve.contrast!, 3)}, by chance ${decimals(curve.threshold!, 3)}`,
            ),
          ),
        ...ends(selected.slice(0, NAMED).map(({ feature, points }) => ({ feature, at: y(points.at(-1)!) }))).map(({ feature, at }) =>
          text(right + 6, at + 4, 'start', `feature ${feature}`, ink.text),
        ),
        ...(selected.length === 0 && tests > 0 ? ['none', 'selected'] : []).map((word, i) =>
          text(right + 6, MARGIN.top + 18 + 15 * i, 'start', word, ink.quiet),
        ),
        tests === 0 ? text((MARGIN.left + right) / 2, SIZE.height / 2, 'middle', 'no test region of this class', ink.quiet) : html``,
      ],
    },
    ink,
  );
}

/** Names at the ends of curves, moved apart so that none covers another. */
function ends(names: readonly { readonly feature: number; readonly at: number }[]): { feature: number; at: number }[] {
  const apart = names.map((one) => ({ ...one })).sort((a, b) => a.at - b.at);
  apart.forEach((one, i) => (one.at = Math.max(one.at, i > 0 ? apart[i - 1]!.at + 15 : MARGIN.top)));
  const lowest = SIZE.height - MARGIN.bottom;
  for (let i = apart.length - 1; i >= 0; i--) apart[i]!.at = Math.min(apart[i]!.at, i < apart.length - 1 ? apart[i + 1]!.at - 15 : lowest);
  return apart;
}
