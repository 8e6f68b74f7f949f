import { killedAgainAndAgain, type Moment } from './support/kills';

const MOMENTS: readonly Moment[] = [
  { stage: 'regions', step: 40 },
  { stage: 'influence', step: 100 },
  { stage: 'writing', step: 3 },
];

test('a process killed again and again, then resumed, ends with the bytes of an undisturbed one', async () => {
  await killedAgainAndAgain(MOMENTS.length, (kill) => MOMENTS[kill]!);
});
