/** What a page says of one network: its tables, its test slices, and what is known of how far to trust them. */
import { percent } from '../rounded';
import { auditSection } from './audit-section';
import { PAGE_INK, type Drawing } from './charts';
import { drawCheckpoints } from './checkpoint-chart';
import { featureSection } from './feature-section';
import { faithfulnessSection } from './faithfulness-section';
import { html, type Html } from './html';
import type { CheckpointReport, NetworkReport, Report } from './model';
import { cosine, counted, dice, roughly } from './numbers';
import { sliceCard } from './slice-card';
import { stabilitySection, stabilityWarning } from './stability-section';
import { quiet, table } from './table';

export function networkSection(report: Report, network: NetworkReport, place: number, drawing: Drawing): Html {
  const { name, parameterCount, checkpoints, engine, sides } = network;
  const { classes } = report;
  return html`<section aria-labelledby="network-${place}">
    <h2 id="network-${place}">${name}</h2>
    ${network.stability && stabilityWarning(network.stability, place)}
    <p>
      Gradients of ${counted(parameterCount, 'parameter')} at ${counted(checkpoints.length, 'checkpoint')}
      (${checkpointWords(checkpoints)}), between ${counted(sides.test.slices, 'test slice')} and
      ${counted(sides.train.slices, 'training slice')}; engine ${engine}.
    </p>
    ${sides.test.slices > 0 && testSection(report, network, place, drawing)}
    ${network.features && featureSection(network.features, network.faithfulness, classes, place, drawing)}
    ${network.faithfulness && faithfulnessSection(network.faithfulness, place)}
    ${network.stability && stabilitySection(network.stability, place)} ${network.audit && auditSection(report, network.audit, place)}
    ${missing(network)}
  </section>`;
}

/** What the test slices were asked for; a study without them (self-influence) has nothing of it. */
function testSection(report: Report, network: NetworkReport, place: number, drawing: Drawing): Html {
  const { checkpoints, influence, slices } = network;
  const { classes } = report;
  return html`<div class="tables">
      ${matrix('Influence T between classes', influence.raw, classes, roughly, 'ranking-none')}
      ${matrix('Cosine between classes', influence.cosine, classes, cosine, 'ranking-cosine')} ${dominance(network)}
      ${checkpoints.length > 1 && html`<figure class="plot">${drawCheckpoints(checkpoints, classes, drawing, PAGE_INK)}</figure>`}
    </div>
    ${network.dice && diceTable(network.dice, classes)}
    <h3 id="slices-${place}">Test slices</h3>
    ${slices.length === 0 && html`<p class="quiet">None of them shows a region, so there is nothing to rank.</p>`}
    ${slices.map((slice, i) => sliceCard(report, slice, `slice-${place}-${i}`))}`;
}

function checkpointWords(checkpoints: readonly CheckpointReport[]): string {
  const words = checkpoints.map(
    ({ epoch, learningRate }) => `${epoch === null ? '' : `epoch ${epoch}: `}η ${Number(learningRate.toPrecision(3))}`,
  );
  return words.length <= 6 ? words.join(', ') : `${words.slice(0, 2).join(', ')}, … ${words.at(-1)!}`;
}

function matrix(
  caption: string,
  values: readonly (readonly (number | null)[])[],
  classes: readonly string[],
  write: (value: number) => string,
  kind: string,
): Html {
  const most = Math.max(...values.flat().map((value) => Math.abs(value ?? 0))) || 1;
  const cell = (value: number | null): Html => {
    if (value === null) return html`<span class="cell">–</span>`;
    const sign = value < 0 ? 'opponent' : 'proponent';
    return html`<span class="cell ${sign}" style="--share:${(Math.abs(value) / most).toFixed(2)}">${write(value)}</span>`;
  };
  return table({
    kind: `matrix ${kind}`,
    caption: html`${caption} ${quiet('(mean of all pairs)')}`,
    head: ['test by training', ...classes],
    rows: values.map((row, i) => [classes[i]!, ...row.map(cell)]),
  });
}

function dominance({ dominance: found }: NetworkReport): Html[] {
  return (['none', 'cosine'] as const).flatMap((normalize) => {
    const rows = found.filter((one) => one.normalize === normalize);
    if (rows.length === 0) return [];
    return table({
      kind: `ranking-${normalize}`,
      caption: html`Most often in the lead, ${normalize === 'none' ? 'raw' : 'cosine'}
      ${quiet('(share of test regions that something influences)')}`,
      head: ['Class', 'Patient', 'in the first', 'share'],
      rows: rows.map(({ class: name, patient, top, share }) => [name, patient, top, percent(share)]),
    });
  });
}

function diceTable({ over, cases, mean }: NonNullable<NetworkReport['dice']>, classes: readonly string[]): Html {
  return html`<details>
    <summary>Dice of each ${over === 'volumes' ? 'unseen patient' : 'test case, over the slices of the study'}</summary>
    ${table({
      caption: over === 'volumes' ? 'Dice over whole volumes' : 'Dice over the test slices of the study',
      head: ['Case', ...classes],
      rows: [...cases.map((one) => [one.case, ...one.dice.map(dice)]), ['mean', ...mean.map(dice)]],
    })}
    <p class="quiet">– where a class is neither there nor predicted; 0 where it is predicted but not there.</p>
  </details>`;
}

function missing({ missing: parts }: NetworkReport): Html | false {
  return (
    parts.length > 0 &&
    html`<div class="card">
      <h3>Not in this study</h3>
      <ul>
        ${parts.map(({ what, commands }) => html`<li>${what}: ${commands.map((words, i) => html`${i > 0 && ', then '}<code>tracin-seg ${words}</code>`)}</li>`)}
      </ul>
    </div>`
  );
}
