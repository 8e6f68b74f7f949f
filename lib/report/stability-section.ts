/** How far the study stays the same when its network is trained from other seeds. */
import type { Stability } from '../faithfulness/stability-file';
import { inWords } from '../faithfulness/verdict';
import { html, type Html } from './html';
import { counted } from './numbers';
import { quiet, table } from './table';

export function stabilitySection({ studies, normalize, by, top, correlation, lists, verdict }: Stability, place: number): Html {
  const influence = normalize === 'none' ? 'influence T' : `${normalize} influence`;
  return html`<section aria-labelledby="stability-${place}">
    <h3 id="stability-${place}">Other training seeds</h3>
    <p>${verdict.words}</p>
    <div class="tables">
      ${table({
        caption: html`Rank correlation of ${influence} ${quiet(`(between ${counted(studies.length, 'study', 'studies')})`)}`,
        head: ['Test class', 'training class', 'Spearman', 'test regions'],
        rows: correlation.classPairs.map((one) => [one.class, one.trainClass, inWords(one), one.regions]),
      })}
      ${table({
        caption: html`Shared of the ${top} leading ${by}s ${quiet('(95 % intervals in brackets)')}`,
        head: ['Class', 'shared', 'by chance', 'test regions'],
        rows: lists.map((one) => [one.class, inWords(one.overlap), one.chance?.toFixed(3) ?? '–', one.overlap.regions]),
      })}
    </div>
  </section>`;
}

/** Told before anything else of the network. */
export function stabilityWarning({ verdict }: Stability, place: number): Html | false {
  return (
    verdict.warning &&
    html`<p class="warning">
      Trained again from other seeds, these rankings are ${verdict.level}. <a href="#stability-${place}">What stays and what does not</a>
    </p>`
  );
}
