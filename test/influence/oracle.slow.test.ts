import { reference } from '../support/engines';
import { DEFINITIONS, describeOracle, influenceByRun, oracleError } from '../support/oracle';

describeOracle('stored influences of a U-Net over three checkpoints: reference, within 1e-6', () => {
  test.each(DEFINITIONS)(
    '%j',
    async (definition) => {
      expect(await oracleError(await influenceByRun(reference, definition), definition)).toBeLessThan(1e-6);
    },
    300_000,
  );
});
