/** Influences of a U-Net exported by PyTorch, from arrays, by the command line, against autograd in float64. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readNpy } from '../../lib/npy';
import { tracin } from '../support/cli';
import { relativeError } from '../support/numbers';
import { hasOracle, oracleFolder } from '../support/oracle';

const root = mkdtempSync(join(tmpdir(), 'tracin-cli-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const stored = (name: string): string => join(oracleFolder, 'plain', name);

(hasOracle ? describe : describe.skip)('the stored influences', () => {
  test.each([
    ['cpu', 1e-4, 'dice', 'predicted', 'all', ['--batch', '1']],
    ['cpu', 1e-4, 'cross-entropy', 'truth', 'all', []],
    ['reference', 1e-6, 'dice', 'slice', 'head', ['--class-names', 'NCR,ED,ET']],
  ] as const)('%s, within %d: %s, %s, %s', async (device, tolerance, loss, region, parameters, more) => {
    const out = join(root, `${device}-${loss}`);
    const { status, stderr } = await tracin([
      ...['influence', '--device', device, '--loss', loss, '--region', region, '--parameters', parameters, '--out', out, ...more],
      ...['--checkpoints', [0, 1, 2].map((t) => stored(`checkpoint-${t}.onnx`)).join(), '--learning-rates', '0.05,0.02,0.01'],
      ...['--train-images', stored('train_images.npy'), '--train-labels', stored('train_labels.npy')],
      ...['--test-images', stored('test_images.npy'), '--test-labels', stored('test_labels.npy')],
    ]);
    expect({ status, error: /^error.*/m.exec(stderr)?.[0] }).toEqual({ status: 0 });
    const [scores, expected] = await Promise.all([
      readNpy(join(out, 'scores.npy')),
      readNpy(stored(`expected_${loss}_${region}_${parameters}.npy`)),
    ]);
    expect(scores.shape).toEqual(expected.shape);
    expect(relativeError(scores.data as Float32Array, expected.data as Float64Array)).toBeLessThan(tolerance);
  });
});
