import { describeNative, reference } from '../support/engines';
import { DEFINITIONS, describeOracle, influenceByRun, oracleError } from '../support/oracle';

describeOracle('stored influences of a U-Net over three checkpoints', () => {
  describeNative('within 1e-4', (engine) => {
    test.each(DEFINITIONS)('%j', async (definition) => {
      expect(await oracleError(await influenceByRun(engine, definition), definition)).toBeLessThan(1e-4);
    });
  });

  // All eight: oracle.slow.test.ts
  describe('reference, within 1e-6', () => {
    const quick = DEFINITIONS.filter(({ region, parameters }) => parameters === 'head' && region !== 'slice').slice(1);
    test.each(quick)('%j', async (definition) => {
      expect(await oracleError(await influenceByRun(reference, definition), definition)).toBeLessThan(1e-6);
    });
  });
});
