/** The demo as it is: both networks learn every class. Minutes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runDemo } from '../../lib/demo/demo';

const out = mkdtempSync(join(tmpdir(), 'tracin-demo-'));
afterAll(() => rmSync(out, { recursive: true, force: true }));

test('Dice of at least 0.80 for each class on unseen patients', async () => {
  const { report } = await runDemo({ out });
  expect(report.networks).toHaveLength(2);
  for (const { dice } of report.networks) for (const mean of dice!.mean) expect(mean).toBeGreaterThanOrEqual(0.8);
}, 1_200_000);
