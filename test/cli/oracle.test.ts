/** Influences of a U-Net exported by PyTorch, from arrays, by the command line, against autograd in float64. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readNpy } from '../../lib/npy';
import { tracin } from '../support/cli';
import { arraysOf, CHECKPOINTS, describeOracle, learningRates, oracleError } from '../support/oracle';

const root = mkdtempSync(join(tmpdir(), 'tracin-cli-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const files = (role: 'train' | 'test'): string[] => Object.entries(arraysOf(role)).flatMap(([kind, file]) => [`--${role}-${kind}`, file]);

describeOracle('the stored influences', () => {
  test.each([
    ['cpu', 1e-4, 'dice', 'predicted', 'all', ['--batch', '1']],
    ['cpu', 1e-4, 'cross-entropy', 'truth', 'all', []],
    ['reference', 1e-6, 'dice', 'slice', 'head', ['--class-names', 'NCR,ED,ET']],
  ] as const)('%s, within %d: %s, %s, %s', async (device, tolerance, loss, region, parameters, more) => {
    const out = join(root, `${device}-${loss}`);
    const { status, stderr } = await tracin([
      ...['influence', '--device', device, '--loss', loss, '--region', region, '--parameters', parameters, '--out', out, ...more],
      ...['--checkpoints', CHECKPOINTS.join(), '--learning-rates', (await learningRates()).join()],
      ...files('train'),
      ...files('test'),
    ]);
    expect({ status, error: /^error.*/m.exec(stderr)?.[0] }).toEqual({ status: 0 });
    const scores = await readNpy(join(out, 'scores.npy'));
    expect(await oracleError(scores.data as Float32Array, { loss, region, parameters })).toBeLessThan(tolerance);
  });
});
