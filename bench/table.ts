/** Results as the Markdown table of the README, in the layout that prettier keeps. */
import { readFile } from 'node:fs/promises';
import { replaceFile } from '../lib/files';
import type { Timing } from './measure';

export interface Results {
  readonly machine: { readonly processor: string; readonly cores: number; readonly node: string; readonly engines: readonly string[] };
  readonly subject: string;
  readonly cases: readonly { readonly name: string; readonly reference: Timing; readonly cpu: Timing }[];
}

export function renderTable({ machine, subject, cases }: Results): string {
  const rows = [
    ['median (95th percentile)', '`reference`', '`cpu`', 'ratio'],
    ...cases.map(({ name, reference, cpu }) => [name, inWords(reference), inWords(cpu), `${Math.round(reference.median / cpu.median)} ×`]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  const about = `${subject}; ${machine.processor}, ${machine.cores} cores, Node ${machine.node}; ${machine.engines.join('; ')}.`;
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body, '', about].join('\n');
}

/** Two digits are all that timings are worth. */
function inWords({ median, p95 }: Timing): string {
  return `${duration(median)} (${duration(p95)})`;
}

function duration(seconds: number): string {
  const [value, unit] = seconds < 1 ? [seconds * 1000, 'ms'] : [seconds, 's'];
  return `${Number(value.toPrecision(value < 100 ? 2 : 3))} ${unit}`;
}

const MARKS = ['<!-- bench -->', '<!-- /bench -->'] as const;

/** Puts the table between the marks of a Markdown file. */
export async function replaceTable(path: string, table: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  const [start, end] = MARKS.map((mark) => text.indexOf(mark)) as [number, number];
  if (start < 0 || end < start) throw new Error(`${path}: has no ${MARKS.join(' … ')} to put the table between`);
  await replaceFile(path, `${text.slice(0, start + MARKS[0].length)}\n\n${table}\n\n${text.slice(end)}`);
}
