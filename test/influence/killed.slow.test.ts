import { uniform } from '../support/numbers';
import { killedAgainAndAgain } from './support/kills';

test('25 kills at any moment', async () => {
  const next = uniform(5);
  await killedAgainAndAgain(25, () => 300 + 900 * (next() + 1));
}, 600_000);
