import { spread } from '../lib/spread';

test.each([
  { total: 0, count: 3, positions: [] },
  { total: 2, count: 3, positions: [0, 1] },
  { total: 7, count: 1, positions: [0] },
  { total: 7, count: 3, positions: [0, 3, 6] },
])('$count of $total', ({ total, count, positions }) => {
  expect(spread(total, count)).toEqual(positions);
});
