/** Tables as the page writes them: the first cell of a row names it. */
import { html, Html } from './html';

export interface TableOptions {
  readonly caption: Html | string;
  readonly head: readonly (Html | string)[];
  readonly rows: readonly (readonly (Html | string | number)[])[];
  /** Further classes of the box around it. */
  readonly kind?: string | undefined;
}

export function table({ caption, head, rows, kind }: TableOptions): Html {
  return html`<div class="scroll ${kind}" tabindex="0" role="region" aria-label="${plain(caption)}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head.map((name) => html`<th scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([name, ...cells]) =>
            html`<tr>
              <th scope="row">${name}</th>
              ${cells.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Without its tags. */
function plain(caption: Html | string): Html | string {
  return typeof caption === 'string' ? caption : new Html(caption.text.replaceAll(/<[^>]*>/g, '').replaceAll(/\s+/g, ' '));
}

/** What stands beside a caption in a quieter voice. */
export function quiet(words: string): Html {
  return html`<span class="quiet">${words}</span>`;
}
