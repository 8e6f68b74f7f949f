/** All definitions of the oracle on the reference engine; a minute or two of plain TypeScript. */
import { reference } from '../support/engines';
import { DEFINITIONS, describeOracle, influenceByEngine, oracleError } from '../support/oracle';

const MINUTES = 300_000;

describeOracle('oracle', () => {
  it.each(DEFINITIONS)(
    'reference: $loss, $region, $parameters',
    async (definition) => {
      expect(await oracleError(await influenceByEngine(reference, definition), definition)).toBeLessThan(1e-6);
    },
    MINUTES,
  );
});
