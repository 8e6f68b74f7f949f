/** Charts tell what is known of every feature, and keep within their frame. */
import { drawAblationDensity } from '../../lib/report/ablation-density';
import { chart, FILE_INK, loadDrawing } from '../../lib/report/charts';

test('a title that is longer than the picture is wide is set to its width, others are left alone', () => {
  const titled = (title: string): string =>
    chart({ width: 420, height: 300, label: '', title, x: { ticks: [], label: '' }, y: { ticks: [] }, marks: [] }, FILE_INK).text;
  expect(titled('ED: density of log |ΔDice|, one feature silenced')).not.toContain('textLength');
  expect(titled('rare "never there": density of log |ΔDice|, one feature silenced')).toMatch(/textLength="420" [^>]*>rare &quot;/);
});

test('features that changed nothing have no place on a logarithmic scale, and are counted with their kind', async () => {
  const of = (drops: (number | null)[], selected: number[]): string =>
    drawAblationDensity(
      { class: 'ET', drops, selected, selectedDrop: 0.1, unselectedDrop: 0.01 } as unknown as Parameters<typeof drawAblationDensity>[0],
      2,
      drawing,
      FILE_INK,
    ).text;
  const drawing = await loadDrawing();
  const some = of([0.1, 0, 0.2, 0, 0.01], [0, 1]);
  expect(some).toContain('>1 of 2 selected</text>');
  expect(some).toContain('>2 of 3 others</text>');
  const all = of([0.1, 0.3, 0.2], [0]);
  expect(all).toContain('>1 selected</text>');
  expect(all).toContain('>2 others</text>');
});
