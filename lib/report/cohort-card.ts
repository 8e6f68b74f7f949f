/** Who was looked at, and how well each network does. */
import { html, type Html } from './html';
import type { NetworkReport, Report, SideReport } from './model';
import { dice } from './numbers';
import { table } from './table';

export function cohortCard({ cohort: lines, classes, networks }: Report): Html {
  const measured = networks.filter((network) => network.dice);
  const { sides } = networks[0]!;
  const row = (name: string, { patients, slices, regions }: SideReport): (string | number)[] => [name, patients, slices, ...regions];
  return html`<div class="card cohort">
    <div>
      ${lines.map((line) => html`<p>${line}</p>`)}
      ${table({
        caption: 'Slices, and how many show each class',
        head: ['', 'patients', 'slices', ...classes],
        rows: [row('training', sides.train), ...(sides.test.slices > 0 ? [row('test', sides.test)] : [])],
      })}
    </div>
    ${
      measured.length > 0 &&
      table({
        caption: `Dice on ${measured.every((network) => network.dice!.over === 'volumes') ? 'unseen patients' : 'the test slices'}, mean (lowest to highest)`,
        head: ['Network', ...classes],
        rows: measured.map((network) => [network.name, ...classes.map((_, k) => diceCell(network, k))]),
      })
    }
  </div>`;
}

function diceCell({ dice: measured }: NetworkReport, k: number): Html {
  const values = measured!.cases.map((row) => row.dice[k]!).filter((value) => value !== null);
  const range =
    values.length > 1 && html` <span class="quiet range">${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}</span>`;
  return html`${dice(measured!.mean[k])}${range}`;
}
