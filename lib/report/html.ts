/** HTML in which whatever is put in is escaped, unless it is HTML made here. */

export class Html {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

type Content = Html | string | number | undefined | false | readonly Content[];

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function written(content: Content): string {
  if (content instanceof Html) return content.text;
  if (Array.isArray(content)) return content.map(written).join('');
  if (content === undefined || content === false) return '';
  return String(content).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Tag of a template: strings and numbers are escaped, lists joined, undefined and false left out. */
export function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(parts.reduce((text, part, i) => text + written(contents[i - 1]) + part));
}
