/** What a page says of one network: its tables, then its test slices. */
import { html, type Html } from './html';
import type { NetworkReport, Report } from './model';
import { cosine, counted, dice, roughly } from './numbers';
import { sliceCard } from './slice-card';

export function networkSection(report: Report, network: NetworkReport, place: number): Html {
  const { name, parameterCount, checkpoints, engine, testSlices, trainingSlices, influence, slices } = network;
  const { classes } = report;
  return html`<section aria-labelledby="network-${place}">
    <h2 id="network-${place}">${name}</h2>
    <p>
      Gradients of ${counted(parameterCount, 'parameter')} at ${counted(checkpoints.length, 'checkpoint')} (${checkpointWords(network)}),
      between ${counted(testSlices, 'test slice')} and ${counted(trainingSlices, 'training slice')}; engine ${engine}.
    </p>
    <div class="tables">
      ${matrix('Influence T between classes', influence.raw, classes, roughly, 'ranking-none')}
      ${matrix('Cosine between classes', influence.cosine, classes, cosine, 'ranking-cosine')} ${dominance(network)}
    </div>
    ${network.dice && diceTable(network.dice, classes)} ${slices.map((slice) => sliceCard(report, slice))}
  </section>`;
}

function checkpointWords({ checkpoints }: NetworkReport): string {
  return checkpoints
    .map(({ epoch, learningRate }) => `${epoch === null ? '' : `epoch ${epoch}: `}η ${Number(learningRate.toPrecision(3))}`)
    .join(', ');
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
    if (value === null) return html`<td>–</td>`;
    return html`<td class="${value < 0 ? 'opponent' : 'proponent'}" style="--share:${(Math.abs(value) / most).toFixed(2)}">
      ${write(value)}
    </td>`;
  };
  const rows = values.map(
    (row, i) =>
      html`<tr>
        <th scope="row">${classes[i]}</th>
        ${row.map(cell)}
      </tr>`,
  );
  return html`<div class="scroll ${kind}">
    <table class="matrix">
      <caption>
        ${caption}
        <span class="quiet">(mean of all pairs)</span>
      </caption>
      <thead>
        <tr>
          <th scope="col">test by training</th>
          ${classes.map((name) => html`<th scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

function dominance({ dominance: found }: NetworkReport): Html | false {
  return (
    found.length > 0 &&
    (['none', 'cosine'] as const)
      .map((normalize) => {
        const rows = found.filter((one) => one.normalize === normalize);
        return html`<div class="scroll ranking-${normalize}">
          <table>
            <caption>
              Most often in the lead, ${normalize === 'none' ? 'raw' : 'cosine'}
              <span class="quiet">(share of test regions)</span>
            </caption>
            <thead>
              <tr>
                <th scope="col">Class</th>
                <th scope="col">Patient</th>
                <th scope="col">in the first</th>
                <th scope="col">share</th>
              </tr>
            </thead>
            <tbody>
              ${rows.map(
                ({ class: name, patient, top, share }) =>
                  html`<tr>
                    <th scope="row">${name}</th>
                    <td>${patient}</td>
                    <td>${top}</td>
                    <td>${Math.round(share * 100)} %</td>
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>`;
      })
      .reduce((a, b) => html`${a}${b}`)
  );
}

function diceTable({ cases, mean }: NonNullable<NetworkReport['dice']>, classes: readonly string[]): Html {
  const row = (name: string, values: readonly (number | null)[]): Html =>
    html`<tr>
      <th scope="row">${name}</th>
      ${values.map((value) => html`<td>${dice(value)}</td>`)}
    </tr>`;
  return html`<details>
    <summary>Dice of each unseen patient</summary>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Patient</th>
            ${classes.map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${cases.map((one) => row(one.case, one.dice))}${row('mean', mean)}
        </tbody>
      </table>
    </div>
    <p class="quiet">– where a class is neither there nor predicted; 0 where it is predicted but not there.</p>
  </details>`;
}
