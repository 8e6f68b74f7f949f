/** Comma-separated values, RFC 4180. */

function field(value: string | number | null): string {
  const text = value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One line without its end; numbers in their shortest exact form, null as an empty field. */
export function csvLine(values: readonly (string | number | null)[]): string {
  return values.map(field).join(',');
}

/** The lines of a text, each as its fields; empty lines are left out, and so is the byte order mark that spreadsheets write. */
export function parseCsv(text: string): string[][] {
  const lines: string[][] = [[]];
  // A field, quoted or not, and what ends it.
  const fields = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|\r|$)/g;
  for (const [, quoted, bare, end] of text.replace(/^\uFEFF/, '').matchAll(fields)) {
    lines.at(-1)!.push(quoted?.replaceAll('""', '"') ?? bare ?? '');
    if (end === '') break;
    if (end !== ',') lines.push([]);
  }
  return lines.filter((line) => line.some((value) => value !== ''));
}
