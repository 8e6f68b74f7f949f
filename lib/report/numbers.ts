/** Numbers as the page writes them. */

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
  return signed(value, value.toFixed(2));
}

export function dice(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : value.toFixed(3);
}

function signed(value: number, text: string): string {
  if (Number(text) === 0) return text.replace('-', '');
  return value < 0 ? text.replace('-', '−') : `+${text}`;
}

export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
