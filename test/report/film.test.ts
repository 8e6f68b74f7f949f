/** What is drawn over a picture. */
import { film } from '../../lib/report/film';

test('letters at the edges keep their shape where pixels are not square', () => {
  const edges = { left: 'A', right: 'P', top: 'S', bottom: 'I' };
  const { text } = film({
    pictures: [{ width: 96, height: 24, aspect: 4, edges, png: '' }],
    picture: 0,
    label: '',
    overlays: [],
    edges: true,
  });
  // The film is as wide as high, and stretches its 24 rows fourfold: what is drawn over it is made as much flatter beforehand.
  expect(text).toContain('aspect-ratio:96/96.00');
  expect(text).toContain('transform="scale(1 0.25)"');
  const places = [...text.matchAll(/translate\(([\d.]+) ([\d.]+)\) scale\(([\d.]+)\)/g)].map((found) => found.slice(1).map(Number));
  expect(places).toEqual([[2, 50, 1], [94, 50, 1], [48, 7, 1], [48, 94, 1]]); // prettier-ignore
});
