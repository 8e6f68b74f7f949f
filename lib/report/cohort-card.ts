/** Who was looked at, and how well each network does. */
import { html, type Html } from './html';
import type { NetworkReport, Report, SideReport } from './model';
import { dice } from './numbers';
import { table } from './table';

export function cohortCard({ cohort: lines, classes, networks }: Report): Html {
  const measured = networks.filter((network) => network.dice);
  const row = (name: string, { patients, slices, regions }: SideReport): (string | number)[] => [name, patients, slices, ...regions];
  // Predicted regions differ from network to network.
  const alike = new Set(networks.map(({ sides }) => JSON.stringify(sides))).size === 1;
  const rows = (alike ? networks.slice(0, 1) : networks).flatMap(({ name, sides: { train, test } }) => {
    const of = alike ? '' : `, ${name}`;
    return [row(`training${of}`, train), ...(test.slices > 0 ? [row(`test${of}`, test)] : [])];
  });
  return html`<div class="card cohort">
    <div>
      ${lines.map((line) => html`<p>${line}</p>`)}
      ${table({
        caption: 'Slices, and how many have a region of each class',
        head: ['', 'patients', 'slices', ...classes],
        rows,
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
