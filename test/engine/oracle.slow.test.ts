/** All definitions of the oracle on the reference engine; a minute or two of plain TypeScript. */
import { reference } from '../support/engines';
import { relativeError } from '../support/numbers';
import { DEFINITIONS, hasOracle, influence } from '../support/oracle';

const MINUTES = 300_000;

(hasOracle ? it : it.skip).each(DEFINITIONS)(
  'reference: $loss, $region, $parameters',
  async (definition) => {
    const { found, expected } = await influence(reference, definition);
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
  },
  MINUTES,
);
