import { relative } from 'node:path';
import type { Command } from 'commander';
import { runDemo } from '../../demo/demo';
import { example, type Context } from '../context';
import { addEngineFlags, type EngineFlags } from '../engine-options';

export function addDemo(program: Command, { signal, reporter }: Context): void {
  const command = program
    .command('demo')
    .summary('everything once on synthetic patients, ending in a page to read: a few minutes')
    .description(
      'Draws synthetic patients, trains two small networks, predicts unseen patients, computes influence, looks into it, and writes a page with the proponents and opponents of predicted regions and what can be said of them.',
    )
    .option('--out <dir>', 'folder for all of it; a demo that is already there is gone on with', 'demo');
  addEngineFlags(command)
    .addHelpText('after', example('tracin-seg demo --out demo'))
    .action(async (flags: EngineFlags & { out: string }) => {
      const { page } = await runDemo({ ...flags, signal, onProgress: reporter.onProgress, onNotice: (line) => reporter.note(line) });
      reporter.stop();
      process.stdout.write(`open ${relative('.', page) || page} in a browser\n`);
    });
}
