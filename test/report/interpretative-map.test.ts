import type { Features } from '../../lib/explanation/files';
import { FILE_INK, loadDrawing } from '../../lib/report/charts';
import { interpretativeMap } from '../../lib/report/feature-report';
import { drawInterpretativeMap, interpretativeFiles } from '../../lib/report/interpretative-map';

const features = {
  similarity: 'max-ratio',
  features: 2,
  classes: [
    { class: 'ED', tests: 4, trainings: 3, features: [{ feature: 0, selected: false }, { feature: 1, selected: true, contrast: 0.25, threshold: 0.1 }] },
    { class: '<ET>', tests: 0, trainings: 2, features: [{ feature: 0, selected: false }, { feature: 1, selected: false }] },
  ],
} as unknown as Features; // prettier-ignore
const importance = Float32Array.of(1, 0.5, 0, 0.25, 0.25, 0.25, NaN, NaN, NaN, NaN, NaN, NaN);
const draw = async (k: number): Promise<string> =>
  drawInterpretativeMap(features, interpretativeMap(features, importance, k), k, await loadDrawing(), FILE_INK).text;

test('a curve for each feature over its ranks, the selected one named, on top, in the colour of the class', async () => {
  const svg = await draw(0);
  const curves = [...svg.matchAll(/<path\s+d="([^"]*)"[^>]*?\sstroke="([^"]*)"/g)].map(([, points, stroke]) => ({ points, stroke }));
  // 284 × 222 pixels from (52, 32): FI 1 at the top, 0 at the bottom, the last rank at the right
  const flat = 'M52,198.5L194,198.5L336,198.5';
  expect(curves).toEqual([
    { points: 'M52,32L194,143L336,254', stroke: FILE_INK.quiet },
    { points: flat, stroke: FILE_INK.text },
    { points: flat, stroke: 'rgb(213,94,0)' },
  ]);
  expect(svg).toContain('feature 1</text>');
  expect(svg).toContain('4 test regions');
});

test('a class without test regions has no curves, and its name is escaped', async () => {
  const svg = await draw(1);
  expect(svg).not.toMatch(/<path d="M/);
  expect(svg).toContain('&lt;ET&gt;');
  expect(svg).toContain('no test region of this class');
});

test('many ranks become bins: their means, each at the middle of its ranks', () => {
  const trainings = 301;
  const one = { class: 'ED', tests: 1, trainings, features: [{ feature: 0, selected: true }] };
  const many = { ...features, features: 1, classes: [one] } as unknown as Features;
  const { ranks, curves } = interpretativeMap(many, Float32Array.from({ length: trainings }, (_, rank) => rank + 1), 0); // prettier-ignore
  expect(ranks).toHaveLength(150);
  expect(curves[0]!.points).toEqual(ranks);
});

test('every class has a file of its own, whatever it is called', () => {
  expect(interpretativeFiles(['NCR/NET', 'ED', '坏死', '水肿'])).toEqual(
    ['NCR_NET', 'ED', '__-3', '__-4'].map((name) => `interpretative-map-${name}.svg`),
  );
});
