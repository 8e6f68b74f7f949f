/** Timings as the Markdown table of a page, in the layout that prettier keeps. */
import { readFile } from 'node:fs/promises';
import { replaceFile } from '../lib/files';
import type { Timing } from './measure';

/** @param rows the head, then a row each */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const [head, ...body] = rows.map(line);
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n');
}

/** Median and, in brackets, 95th percentile; two digits are all that timings are worth. */
export function inWords({ median, p95 }: Timing): string {
  return `${duration(median)} (${duration(p95)})`;
}

/** How many times as long the one took as the other. */
export function ratio(one: Timing, other: Timing): string {
  const times = one.median / other.median;
  return `${times < 10 ? times.toPrecision(2) : Math.round(times)} ×`;
}

function duration(seconds: number): string {
  const [value, unit] = seconds < 1 ? [seconds * 1000, 'ms'] : [seconds, 's'];
  return `${Number(value.toPrecision(value < 100 ? 2 : 3))} ${unit}`;
}

/** Puts the table between a subject's marks in a Markdown file. */
export async function replaceTable(path: string, subject: string, table: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  const marks = [`<!-- bench:${subject} -->`, `<!-- /bench:${subject} -->`] as const;
  const [start, end] = marks.map((mark) => text.indexOf(mark)) as [number, number];
  if (start < 0 || end < start) throw new Error(`${path}: has no ${marks.join(' … ')} to put the table between`);
  await replaceFile(path, `${text.slice(0, start + marks[0].length)}\n\n${table}\n\n${text.slice(end)}`);
}
