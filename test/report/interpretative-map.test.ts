import type { Features } from '../../lib/explanation/files';
import { drawInterpretativeMap } from '../../lib/report/interpretative-map';

const features = {
  similarity: 'max-ratio',
  features: 2,
  classes: [
    { class: 'ED', tests: 4, trainings: 3, features: [{ feature: 0, selected: false }, { feature: 1, selected: true }] },
    { class: '<ET>', tests: 0, trainings: 2, features: [{ feature: 0, selected: false }, { feature: 1, selected: false }] },
  ],
} as unknown as Features; // prettier-ignore
const importance = Float32Array.of(1, 0.5, 0, 0.25, 0.25, 0.25, NaN, NaN, NaN, NaN, NaN, NaN);

test('a curve for each feature over its ranks, the selected one named and on top', () => {
  const svg = drawInterpretativeMap(features, importance, 0);
  const curves = [...svg.matchAll(/<polyline points="([^"]*)"[^>]*stroke="([^"]*)"/g)].map(([, points, stroke]) => ({ points, stroke }));
  // 552 × 328 pixels from (48, 32): FI 1 at the top, 0 at the bottom, the last rank at the right
  expect(curves).toEqual([
    { points: '48.0,32.0 324.0,196.0 600.0,360.0', stroke: '#bbb' },
    { points: '48.0,278.0 324.0,278.0 600.0,278.0', stroke: 'rgb(213,94,0)' },
  ]);
  expect(svg).toContain('feature 1</text>');
  expect(svg).toContain('mean over 4 test regions');
});

test('a class without test regions has no curves, and its name is escaped', () => {
  const svg = drawInterpretativeMap(features, importance, 1);
  expect([...svg.matchAll(/<polyline points=""/g)]).toHaveLength(2);
  expect(svg).toContain('&lt;ET&gt;');
  expect(svg).toContain('none selected');
});
