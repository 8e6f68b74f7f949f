/** The flags that choose what computes. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { DeviceName } from '../engine';
import { DEVICE_WORDS, placesOf } from '../engine/device';
import { PRECISIONS, type Precision } from '../engine/engine';
import { TracinError } from '../errors';
import { wholeNumber } from './arguments';

export interface EngineFlags {
  readonly device?: DeviceName;
  readonly threads?: number;
}
export interface PrecisionFlags {
  readonly precision?: Precision;
}

export function addEngineFlags(command: Command): Command {
  return command
    .option('--device <name>', `${DEVICE_WORDS} (default: auto)`, device)
    .option('--threads <n>', 'CPU threads (default: one for each core)', wholeNumber({ least: 1, most: 1024 }));
}

export function addPrecisionFlag(command: Command): Command {
  return command.addOption(
    new Option('--precision <name>', 'of products; tf32 needs a GPU, bf16 a GPU or a processor that has it (default: f32)').choices(
      PRECISIONS,
    ),
  );
}

function device(text: string): DeviceName {
  try {
    placesOf(text as DeviceName);
  } catch (error) {
    if (error instanceof TracinError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
  return text as DeviceName;
}
