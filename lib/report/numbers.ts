/** Numbers as the page writes them. */
import { decimals } from '../rounded';

/** `+1.712e-3`, as `tracin-seg rank` prints it, with its sign. */
export function score(value: number): string {
  return signed(value, value.toExponential(3));
}

/** `+1.7e-3` */
export function roughly(value: number): string {
  return signed(value, value.toExponential(1));
}

/** −1 to 1. */
export function cosine(value: number): string {
  return signed(value, decimals(value, 2));
}

export function dice(value: number | null | undefined): string {
  return figure(value, 3);
}

/** `0.123`, or a dash where there is none. */
export function figure(value: number | null | undefined, places: number): string {
  return value === null || value === undefined ? '–' : decimals(value, places);
}

function signed(value: number, text: string): string {
  if (Number(text) === 0) return text;
  return value < 0 ? text.replace('-', '−') : `+${text}`;
}

export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
