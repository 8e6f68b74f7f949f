import type { Command } from 'commander';
import { writePhantom } from '../../dataset/phantom';
import { decimal, wholeNumber } from '../arguments';
import { example, type Context } from '../context';

export function addPhantom(program: Command, { signal, reporter }: Context): void {
  program
    .command('phantom')
    .summary('write a folder of synthetic patients in the BraTS layout')
    .description(
      'Writes synthetic patients as NIfTI in the BraTS layout; with --planted, corrupts some labels and lists them in planted.json.',
    )
    .argument('<dir>', 'folder to write')
    .option('--cases <n>', 'patients', wholeNumber({ least: 1, most: 100_000 }), 24)
    .option('--size <pixels>', 'width and height of a slice', wholeNumber({ least: 16, most: 512 }), 96)
    .option('--seed <n>', 'the same seed writes the same bytes', wholeNumber(), 1)
    .option('--planted <share>', 'share of the training patients whose labels are corrupted, 0 to 1', decimal({ least: 0, most: 1 }), 0)
    .addHelpText('after', example('tracin-seg phantom patients --cases 48 --size 96 --planted 0.2'))
    .action(async (dir: string, options: { cases: number; size: number; seed: number; planted: number }) => {
      await writePhantom(dir, { ...options, signal, onProgress: reporter.onProgress });
      reporter.note(`wrote ${options.cases} patients to ${dir}`);
    });
}
