/** Runs the built command line as a person would. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

const MAIN = resolve(__dirname, '../../dist/lib/cli/main.js');

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param interruptAt Ctrl-C is pressed once, as soon as this appears on stderr; `closeStdout`: nobody reads what is printed */
export function tracin(
  words: readonly string[],
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly interruptAt?: RegExp;
    readonly closeStdout?: boolean;
  } = {},
): Promise<Outcome> {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: run \`npm run build\``);
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [MAIN, ...words], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let pressed = false;
    if (options.closeStdout) child.stdout.destroy();
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      if (pressed || !options.interruptAt?.test(stderr)) return;
      pressed = true;
      child.kill('SIGINT');
    });
    child.on('error', failed);
    child.on('close', (status) => done({ status, stdout, stderr }));
  });
}

/** The one error line of a command that must end with status 2; other lines before it are notes. */
export async function refusal(words: readonly string[], cwd?: string): Promise<string> {
  const { status, stderr } = await tracin(words, cwd === undefined ? {} : { cwd });
  const lines = stderr.trimEnd().split('\n');
  const errors = lines.filter((line) => line.startsWith('error: '));
  expect({ status, errors: errors.length, last: lines.at(-1), stack: /^\s+at /m.test(stderr) }).toEqual({
    status: 2,
    errors: 1,
    last: errors[0],
    stack: false,
  });
  return errors[0]!.slice('error: '.length);
}
