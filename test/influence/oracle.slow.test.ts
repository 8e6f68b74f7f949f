import { reference } from '../support/engines';
import { CASES, describeOracle, oracleError } from './support/oracle';

describeOracle('stored influences of a U-Net over three checkpoints: reference, within 1e-6', () => {
  test.each(CASES)(
    '%j',
    async (definition) => {
      expect(await oracleError(definition, reference)).toBeLessThan(1e-6);
    },
    300_000,
  );
});
