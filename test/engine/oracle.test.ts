/** Influence of a PyTorch network: autograd's against the engines'. Its other definitions on the reference engine are in oracle.slow.test.ts. */
import { describeNative, reference } from '../support/engines';
import { DEFINITIONS, describeOracle, influenceByEngine, oracleError } from '../support/oracle';

/** Half a minute of plain TypeScript on an idle core, several on a busy one. */
const MINUTES = 300_000;
const FEW = DEFINITIONS.filter(({ loss, region }) => `${loss} ${region}` === 'dice predicted');

describeOracle('oracle', () => {
  it.each(FEW)(
    'reference: $loss, $region, $parameters',
    async (definition) => {
      expect(await oracleError(await influenceByEngine(reference, definition), definition)).toBeLessThan(1e-6);
    },
    MINUTES,
  );

  describeNative('within 1e-4', (engine) => {
    it.each(DEFINITIONS)('$loss, $region, $parameters', async (definition) => {
      expect(await oracleError(await influenceByEngine(engine, definition), definition)).toBeLessThan(1e-4);
    });
  });
});
