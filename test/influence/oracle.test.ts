import { describeNative, reference } from '../support/engines';
import { CASES, describeOracle, oracleError } from './support/oracle';

describeOracle('stored influences of a U-Net over three checkpoints', () => {
  describeNative('within 1e-4', (engine) => {
    test.each(CASES)('%j', async (definition) => {
      expect(await oracleError(definition, engine)).toBeLessThan(1e-4);
    });
  });

  // All eight: oracle.slow.test.ts
  describe('reference, within 1e-6', () => {
    const quick = CASES.filter(({ region, parameters }) => parameters === 'head' && region !== 'slice').slice(1);
    test.each(quick)('%j', async (definition) => {
      expect(await oracleError(definition, reference)).toBeLessThan(1e-6);
    });
  });
});
