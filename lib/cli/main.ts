#!/usr/bin/env node
/** `tracin-seg`: reads the command line, runs one command, turns its outcome into an exit status. */
import './compile-cache';
import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { TracinError } from '../errors';
import { fileError } from '../files';
import { VERSION } from '../version';
import type { Context } from './context';
import { createReporter } from './progress';

/** In the order of the help. */
const COMMANDS = [
  'demo',
  'phantom',
  'train',
  'predict',
  'inspect',
  'influence',
  'rank',
  'explain',
  'faithfulness',
  'stability',
  'audit',
  'report',
  'devices',
];

type Add = (program: Command, context: Context) => void;

/** What `commands/NAME` exports as `addNAME`. */
function load(name: string): Add {
  // Not import(), which brings up a second loader of modules: 60 ms.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const module = require(`./commands/${name}`) as Readonly<Record<string, Add>>;
  return module[`add${name[0]!.toUpperCase()}${name.slice(1)}`]!;
}

const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ');

/**
 * The command that is called for, or whose help is: loading the others takes longer than many a command. All of them where the words name
 * none, for the list of commands and for suggestions.
 */
function calledFor(words: readonly string[]): readonly string[] {
  const [first, second] = words.filter((word) => !word.startsWith('-'));
  const name = first === 'help' ? second : first;
  return name !== undefined && COMMANDS.includes(name) ? [name] : COMMANDS;
}

/** An empty word is a variable of a shell that was not set; as a path it would mean the folder one is in. */
function refuseEmpty(command: Command): void {
  const options = command.options.filter((option) => command.getOptionValue(option.attributeName()) === '').map(({ flags }) => flags);
  const names = command.registeredArguments
    .filter((_, i) => [command.processedArgs[i]].flat().includes(''))
    .map((argument) => argument.name());
  const [empty] = [...options, ...names];
  if (empty !== undefined) throw new TracinError('ERR_TRACIN_USAGE', `${empty}: is empty: give a value, or leave it out`);
}

function buildProgram(context: Context): Command {
  const program = new Command('tracin-seg')
    .description('Train or bring a segmentation network, and ask which training regions pushed a prediction. Not for clinical use.')
    .version(VERSION)
    .option('--debug', 'print the stack of an error')
    .configureOutput({ outputError: (text, write) => write(`${oneLine(text)}\n`) })
    .exitOverride()
    .hook('preAction', (_program, command) => refuseEmpty(command));
  for (const name of calledFor(process.argv.slice(2))) load(name)(program, context);
  return program;
}

/** Writes the error as one line (and its stack with --debug); returns the exit status. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = error instanceof TracinError;
  const message = oneLine(error instanceof Error ? error.message : String(error));
  const debug = process.argv.includes('--debug');
  const hint = known || debug ? '' : ' (a fault of tracin-seg: --debug prints where)';
  process.stderr.write(`error: ${message}${hint}\n`);
  if (debug) process.stderr.write(`${inspect(error)}\n`);
  return !known ? 1 : isWrongPath(error) ? 2 : error.exitCode;
}

const WRONG_PATH = new Set(['ENOENT', 'ENOTDIR', 'EEXIST', 'EISDIR', 'ELOOP']);

/** A path that was told and is not there is wrong input; a full disk is not. */
function isWrongPath({ code, cause }: TracinError): boolean {
  return code === 'ERR_TRACIN_IO' && WRONG_PATH.has((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

async function main(): Promise<void> {
  const interrupt = new AbortController();
  const reporter = createReporter();
  // Once each: a second Ctrl-C finds no handler and ends the process there and then.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      reporter.note('interrupted: closing what is being written (once more to stop at once)');
      interrupt.abort();
    });
  }
  process.stderr.on('error', () => undefined);
  const fail = (error: unknown): void => {
    reporter.stop();
    process.exitCode = explain(error);
  };
  // The command goes on, for what it prints is not all that it does; of `tracin-seg … | head` the reader has seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') fail(fileError(error, 'write', 'standard output'));
  });
  process.on('uncaughtException', (error) => {
    fail(error);
    process.exit();
  });
  // Node ends quietly when nothing is left to wait for, even with promises open.
  const unfinished = (): void =>
    fail(new TracinError('ERR_TRACIN_INTERNAL', 'the command ended before it was done: report this with the command'));
  process.once('beforeExit', unfinished);
  try {
    await buildProgram({ signal: interrupt.signal, reporter }).parseAsync();
    reporter.stop();
  } catch (error) {
    fail(error);
  }
  process.off('beforeExit', unfinished);
}

void main();
