/** Processes that compute a study and are killed, as by the kernel, until one is left in peace. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { openReferenceEngine } from '../../../lib/engine/reference';
import { computeInfluence } from '../../../lib/influence/run';
import { contents } from '../../support/folders';
import { CLASSES, LEARNING_RATES, openTiny } from './tiny';

/** After so many milliseconds, or at a step of a stage's progress. */
export type Moment = number | { readonly stage: string; readonly step: number };

/**
 * Kills `kills` processes; where one ends before its moment, the next begins another study.
 * Expects every study to have the bytes of an undisturbed one.
 */
export async function killedAgainAndAgain(kills: number, when: (kill: number) => Moment): Promise<void> {
  const tiny = await openTiny(4, 300);
  try {
    const networks = { checkpoints: tiny.checkpoints, learningRates: LEARNING_RATES };
    const common = { networks, batch: 2, resident: 2, resume: true };
    const sources = { test: tiny.test, train: tiny.train, engine: openReferenceEngine() };
    const whole = await contents((await computeInfluence({ ...common, ...sources, out: join(tiny.dir, 'whole') })).dir);
    const arrays = (role: string): object => ({
      images: join(tiny.dir, `${role}-images.npy`),
      labels: join(tiny.dir, `${role}-labels.npy`),
      classes: CLASSES,
    });
    let studies = 1;
    for (let kill = 0; kill < kills;) {
      const out = join(tiny.dir, `killed-${studies}`);
      const file = join(tiny.dir, 'options.json');
      await writeFile(file, JSON.stringify({ ...common, out, test: arrays('test'), train: arrays('train') }));
      const moment = when(kill);
      const place = typeof moment === 'number' ? [] : [moment.stage, String(moment.step)];
      const child = spawn(process.execPath, [join(__dirname, 'killed.js'), file, ...place], { stdio: 'inherit' });
      const exit = once(child, 'exit');
      if (typeof moment === 'number') {
        await Promise.race([setTimeout(moment), exit]);
        child.kill('SIGKILL');
      }
      const [status, signal] = (await exit) as [number | null, NodeJS.Signals | null];
      if (signal === 'SIGKILL') kill++;
      else {
        expect(status).toBe(0);
        studies++;
      }
    }
    for (let study = 1; study <= studies; study++) {
      const { dir } = await computeInfluence({ ...common, ...sources, out: join(tiny.dir, `killed-${study}`) });
      expect(await contents(dir)).toEqual(whole);
    }
  } finally {
    await tiny.close();
  }
}
