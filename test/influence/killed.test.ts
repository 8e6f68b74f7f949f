import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openReferenceEngine } from '../../lib/engine/reference';
import { computeInfluence } from '../../lib/influence/run';
import { contents } from './support/contents';
import { CLASSES, LEARNING_RATES, openTiny } from './support/tiny';

test('a process killed again and again, then resumed, ends with the bytes of an undisturbed one', async () => {
  const tiny = await openTiny();
  try {
    const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
    const common = { networks, batch: 1, resume: true };
    const arrays = (role: string): object => ({
      images: join(tiny.dir, `${role}-images.npy`),
      labels: join(tiny.dir, `${role}-labels.npy`),
      classes: CLASSES,
    });
    const out = join(tiny.dir, 'killed');
    const file = join(tiny.dir, 'options.json');
    await writeFile(file, JSON.stringify({ ...common, out, test: arrays('test'), train: arrays('train') }));
    // In the regions, among the tiles, while arrays are written.
    for (const steps of [3, 14, 20]) {
      const child = spawn(process.execPath, [join(__dirname, 'support', 'killed.js'), file, String(steps)], { stdio: 'inherit' });
      const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      expect(signal).toBe('SIGKILL');
    }
    const sources = { test: tiny.test, train: tiny.train, engine: openReferenceEngine() };
    await computeInfluence({ ...common, ...sources, out });
    const whole = await computeInfluence({ ...common, ...sources, out: join(tiny.dir, 'whole') });
    expect(await contents(out)).toEqual(await contents(whole.dir));
  } finally {
    await tiny.close();
  }
});
