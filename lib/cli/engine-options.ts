/** The flags that choose what computes. */
import { InvalidArgumentError, type Command } from 'commander';
import type { DeviceName } from '../engine';
import { wholeNumber } from './arguments';

export interface EngineFlags {
  readonly device?: DeviceName;
  readonly threads?: number;
}

const DEVICES: readonly DeviceName[] = ['auto', 'cuda', 'cpu', 'reference'];

export function addEngineFlags(command: Command): Command {
  return command
    .option('--device <name>', `${DEVICES.join(', ')} (default: auto)`, device)
    .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber({ least: 1, most: 1024 }));
}

function device(text: string): DeviceName {
  const name = DEVICES.find((known) => known === text);
  if (!name) throw new InvalidArgumentError(`Choose one of ${DEVICES.join(', ')}.`);
  return name;
}
