/** Influence of a PyTorch network: autograd's against the engines'. Its other definitions on the reference engine are in oracle.slow.test.ts. */
import { describeNative, reference } from '../support/engines';
import { relativeError } from '../support/numbers';
import { DEFINITIONS, hasOracle, influence } from '../support/oracle';

/** Half a minute of plain TypeScript on an idle core, several on a busy one. */
const MINUTES = 300_000;
const run = hasOracle ? describe : describe.skip;
const FEW = DEFINITIONS.filter(({ loss, region }) => `${loss} ${region}` === 'dice predicted');

run('oracle', () => {
  it.each(FEW)(
    'reference: $loss, $region, $parameters',
    async (definition) => {
      const { found, expected } = await influence(reference, definition);
      expect(relativeError(found, expected)).toBeLessThan(1e-6);
    },
    MINUTES,
  );

  describeNative('within 1e-4', (engine) => {
    it.each(DEFINITIONS)('$loss, $region, $parameters', async (definition) => {
      const { found, expected } = await influence(engine, definition);
      expect(relativeError(found, expected)).toBeLessThan(1e-4);
    });
  });
});
