/** The training labels to look at first: a table, and the worst slice of each patient. */
import { film, filled, outlined } from './film';
import { html, type Html } from './html';
import type { AuditReport, Report } from './model';
import { table } from './table';

export function auditSection(report: Report, { order, evidence, patients, of }: AuditReport, place: number): Html {
  const scores = (Object.keys(patients[0]?.scores ?? {}) as (typeof order)[]).filter((score) => score !== order);
  return html`<section aria-labelledby="audit-${place}">
    <h3 id="audit-${place}">Labels to look at first</h3>
    <p>
      The first ${patients.length} of ${of} training patients by ${order} (${evidence}). A suspicion, not a finding: an unusual tumour looks
      as suspicious as a wrong label. Filled: predicted. Outlined: the labels.
    </p>
    <ol class="gallery">
      ${patients.map((one) => html`<li>${suspect(report, one)}</li>`)}
    </ol>
    <details>
      <summary>Every score of these patients</summary>
      ${table({
        caption: 'Larger is more suspicious',
        head: ['Patient', order, ...scores, 'worst slice'],
        rows: patients.map(({ patient, scores: all, worst }) => [
          patient,
          ...[order, ...scores].map((score) => all[score]?.toPrecision(3) ?? '–'),
          `${worst.case}:${worst.slice}`,
        ]),
      })}
    </details>
  </section>`;
}

function suspect({ pictures, classes }: Report, { rank, patient, worst, shown }: AuditReport['patients'][number]): Html {
  const words = html`<figcaption>
    <strong>${rank}. ${patient}</strong><br /><span class="quiet">${worst.case}, slice ${worst.slice}</span>
  </figcaption>`;
  if (!shown) return words;
  const overlays = classes.flatMap((_, k) => [shown.predicted && filled(shown.predicted[k]!, k), outlined(shown.truth[k]!, k)]);
  return html`<figure>
    ${film({ pictures, picture: shown.picture, label: `${shown.modality} of ${worst.case}, slice ${worst.slice}, with its labels`, overlays: [html`<g class="labels">${overlays}</g>`] })}
    ${words}
  </figure>`;
}
