/** A report as one HTML page that needs nothing else: no script, no font, no request. Works by keyboard and on paper. */
import { html, Html } from './html';
import type { NetworkReport, Report } from './model';
import { pictureStore } from './film';
import { networkSection } from './network-section';
import { dice } from './numbers';
import { styleSheet } from './style';

/** @returns the whole document */
export function renderPage(report: Report): string {
  const { title, classes, networks } = report;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'" />
        <title>${title}</title>
        <style>
          ${new Html(styleSheet(classes.length))}
        </style>
      </head>
      <body>
        ${pictureStore(report)}
        <header>
          <h1>${title}</h1>
          <p>
            For each region a network outlined in a test slice: the training regions that pushed it there (proponents) and those that pulled
            it away (opponents), class by class.
          </p>
          <p class="warning">For research. Not for clinical use.</p>
          ${cohort(report)}
        </header>
        ${toolbar(report)}
        <main>${howToRead(report)} ${networks.map((network, i) => networkSection(report, network, i))}</main>
        <footer class="quiet">
          <p>
            Made by ${report.tool} on this computer; the page holds all it shows and asks the network for nothing. Not for clinical use.
          </p>
        </footer>
      </body>
    </html> `.text;
}

function cohort({ cohort: lines, classes, networks }: Report): Html {
  const measured = networks.filter(({ dice: measured }) => measured);
  return html`<div class="card cohort">
    <div>
      ${lines.map((line) => html`<p>${line}</p>`)}
      <p>Networks: ${networks.map(({ name }, i) => html`${i > 0 && ', '}<a href="#network-${i}">${name}</a>`)}</p>
    </div>
    ${
      measured.length > 0 &&
      html`<div class="scroll">
        <table>
          <caption>
            Dice on unseen patients, mean (lowest to highest)
          </caption>
          <thead>
            <tr>
              <th scope="col">Network</th>
              ${classes.map((name) => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${measured.map(
              (network) =>
                html`<tr>
                  <th scope="row">${network.name}</th>
                  ${classes.map((_, k) => html`<td>${diceCell(network, k)}</td>`)}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`
    }
  </div>`;
}

function diceCell({ dice: measured }: NetworkReport, k: number): Html {
  const values = measured!.cases.map((row) => row.dice[k]!).filter((value) => value !== null);
  const range =
    values.length > 1 && html` <span class="quiet range">${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}</span>`;
  return html`${dice(measured!.mean[k])}${range}`;
}

function toolbar({ classes }: Report): Html {
  return html`<div class="toolbar">
    <div>
      <ul class="legend" aria-label="Classes">
        ${classes.map((name, k) => html`<li><span class="swatch" style="--colour:var(--class-${k})"></span>${name}</li>`)}
      </ul>
      <fieldset>
        <legend>Ranking</legend>
        <label><input type="radio" name="ranking" id="ranking-none" checked /> raw</label>
        <label><input type="radio" name="ranking" id="ranking-cosine" /> cosine</label>
      </fieldset>
      <label class="switch"><input type="checkbox" id="overlays" checked /> overlays</label>
    </div>
  </div>`;
}

function howToRead({ pictures, networks }: Report): Html {
  const orientation = pictures.some(({ edges }) => edges)
    ? 'Slices are shown in the radiological convention: the patient’s right is on the left of the picture, and in axial slices the front is up; letters at the edges name the sides (R right, L left, A front, P back). Greys are scaled to each slice.'
    : 'Slices are shown as their arrays are stored, which do not say which side is which. Greys are scaled to each slice.';
  const { definition } = networks[0]!;
  const same = networks.every((network) => network.definition.join() === definition.join());
  return html`<section aria-labelledby="how">
    <h2 id="how">How to read this page</h2>
    <div class="explained">
      <div>
        <p>
          The <strong>influence</strong> T of a training region on a test region says how much the steps taken on the one during training
          lowered the loss of the other, to first order, summed over the saved checkpoints. A
          <strong class="sign proponent">proponent</strong> has T above zero: learning from it made the test region better. An
          <strong class="sign opponent">opponent</strong> has T below zero: it made it worse.
        </p>
        <p>
          <strong>Raw</strong> ranks by T itself: how much a region weighed. Regions with large gradients lead many lists.
          <strong>Cosine</strong> takes the size of the gradients out: how alike two regions are to the network, from −1 to 1. Choose in the
          bar above; on paper both are shown.
        </p>
        <p>${orientation}</p>
      </div>
      <div>
        ${same && definition.map((line) => html`<p class="formula">${line}</p>`)}
        <p class="quiet">
          z' is the test slice, z the training slice, i and j their classes, p the predicted and y the true class of a pixel, θ_t the
          network at checkpoint t. T is exact for this formula; it does not say what would happen if the network were trained without the
          region.
        </p>
      </div>
    </div>
  </section>`;
}
