/** A report as one HTML page that needs nothing else: no script, no font, no request. Works by keyboard and on paper. */
import { loadDrawing } from './charts';
import { cohortCard } from './cohort-card';
import { pictureStore } from './film';
import { html, Html } from './html';
import { PULLS, PUSHES } from './map-colours';
import { check, kindOf, list, number, object, optional, shape, text } from '../kinds';
import type { NetworkReport, Report } from './model';
import { networkSection } from './network-section';
import { styleSheet } from './style';

const some = kindOf<readonly NetworkReport[]>('one network or more', (value) => Array.isArray(value) && value.length > 0);
/** What a section cannot do without; what lies within is as buildReport makes it. */
const NETWORK = shape<NetworkReport>({
  name: text,
  parameterCount: number,
  engine: text,
  checkpoints: list(object),
  dice: optional(object),
  definition: list(text),
  sides: object,
  influence: object,
  dominance: list(object),
  slices: list(object),
  features: optional(object),
  faithfulness: optional(object),
  stability: optional(object),
  audit: optional(object),
  missing: list(object),
});
const REPORT = shape<Report>({
  title: text,
  cohort: list(text),
  tool: text,
  classes: list(text),
  pictures: list(object),
  networks: (value) => list(NETWORK)(value) ?? some(value),
});

/** Writes what {@link buildReport} gathered as one HTML document that needs nothing else. */
export async function renderPage(report: Report): Promise<string> {
  check('renderPage', { report }, { report: REPORT });
  const { title, classes, networks } = report;
  const drawing = await loadDrawing();
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
        <a class="skip" href="#network-0">Skip to the results</a>
        ${pictureStore(report)}
        <header>
          <h1>${title}</h1>
          <p>
            ${
              asks(report)
                ? 'For each region a network outlined in a test slice: the training regions that pushed it there (proponents) and those that pulled it away (opponents), class by class.'
                : 'How much each training region weighed on itself (self-influence): no test slices were asked about.'
            }
          </p>
          <p class="warning">For research. Not for clinical use.</p>
          ${cohortCard(report)} ${contents(networks)}
        </header>
        ${toolbar(report)}
        <main>${howToRead(report)} ${networks.map((network, i) => networkSection(report, network, i, drawing))}</main>
        <footer class="quiet">
          <p>Made by ${report.tool} on this computer; the page holds all it shows and asks the network for nothing.</p>
        </footer>
      </body>
    </html> `.text;
}

/** Not of self-influence. */
const asks = ({ networks }: Report): boolean => networks.some(({ sides }) => sides.test.slices > 0);

const css = (colour: readonly number[]): string => `rgb(${colour.join(' ')})`;

function contents(networks: readonly NetworkReport[]): Html {
  const link = (id: string, words: string): Html => html`<li><a href="#${id}">${words}</a></li>`;
  return html`<nav aria-label="Contents">
    <ul class="contents">
      ${link('how', 'How to read this page')}
      ${networks.map(
        ({ name, slices, features, faithfulness, stability, audit }, i) =>
          html`<li>
            <a href="#network-${i}">${name}</a>
            <ul>
              ${slices.map((slice, s) => link(`slice-${i}-${s}`, `${slice.case}, slice ${slice.slice}`))}
              ${features && link(`features-${i}`, 'Features')} ${faithfulness && link(`faithfulness-${i}`, 'What was shown')}
              ${stability && link(`stability-${i}`, 'Other seeds')} ${audit && link(`audit-${i}`, 'Labels to look at')}
            </ul>
          </li>`,
      )}
    </ul>
  </nav>`;
}

function choice(group: string, words: string, options: readonly (readonly [id: string, words: string])[]): Html {
  return html`<fieldset>
    <legend>${words}</legend>
    ${options.map(([id, name], i) => html`<label><input type="radio" name="${group}" id="${id}" ${i === 0 && 'checked'} /> ${name}</label>`)}
  </fieldset>`;
}

function toolbar(report: Report): Html {
  const { classes, networks, pictures } = report;
  const regions = networks.flatMap(({ slices }) => slices.flatMap((slice) => slice.regions));
  const mapped = regions.some(({ rankings }) =>
    rankings.some((ranking) => [...ranking.proponents, ...ranking.opponents].some(({ maps }) => maps)),
  );
  return html`<div class="toolbar">
    <div>
      <ul class="legend" aria-label="Classes">
        ${classes.map((name, k) => html`<li><span class="swatch" style="--colour:var(--class-${k})"></span>${name}</li>`)}
      </ul>
      ${
        asks(report) &&
        html`${choice('ranking', 'Ranking', [
          ['ranking-none', 'raw'],
          ['ranking-cosine', 'cosine'],
        ])}
        ${choice('by', 'by', [
          ['by-slice', 'slice'],
          ['by-patient', 'patient'],
        ])}`
      }
      ${
        pictures.length > 0 &&
        choice('over', 'Show', [
          ['show-outlines', 'outlines'],
          ...(mapped ? [['show-maps', 'influence maps'] as const] : []),
          ['show-plain', 'images alone'],
        ])
      }
      ${pictures.length > 0 && html`<label class="switch"><input type="checkbox" id="large" /> large</label>`}
    </div>
    <p class="map-legend maps">
      <span><span class="swatch" style="--colour:${css(PUSHES)}"></span>pushed towards the test region</span>
      <span><span class="swatch" style="--colour:${css(PULLS)}"></span>pulled away from it</span>
    </p>
  </div>`;
}

const ofScores = html`<p>
    The <strong>influence</strong> T of a training region on a test region says how much the steps taken on the one during training lowered
    the loss of the other, to first order, summed over the saved checkpoints. A <strong class="sign proponent">proponent</strong> has T
    above zero: learning from it made the test region better. An <strong class="sign opponent">opponent</strong> has T below zero: it made
    it worse.
  </p>
  <p>
    <strong>Raw</strong> ranks by T itself: how much a region weighed. Regions with large gradients lead many lists.
    <strong>Cosine</strong> takes the size of the gradients out: how alike two regions are to the network, from −1 to 1. By
    <strong>patient</strong>, the scores of all slices of a patient are added up, and the strongest of them is shown.
  </p>
  <p>
    An <strong>influence map</strong> says which pixels a score comes from, on the training slice and on the test slice; either sums to T.
    Its colours reach from nothing to the strongest pixel of that one map, so two maps are not to be compared by colour. Choose in the bar
    above; what is chosen is what is printed.
  </p>`;

const ofNorms = html`<p>
  The <strong>self-influence</strong> of a training region is its influence on itself: how strongly it drew the network towards its own
  labels. A large one may mean a wrong label, or a large or difficult region.
</p>`;

function howToRead(report: Report): Html {
  const { pictures, networks } = report;
  const orientation = pictures.some(({ edges }) => edges)
    ? 'Slices are shown in the radiological convention: the patient’s right is on the left of the picture, and in axial slices the front is up; letters at the edges name the sides (R right, L left, A front, P back, S head, I feet). Greys are scaled to each slice.'
    : 'Slices are shown as their arrays are stored, which do not say which side is which. Greys are scaled to each slice.';
  const { definition } = networks[0]!;
  const same = networks.every((network) => network.definition.join() === definition.join());
  return html`<section aria-labelledby="how">
    <h2 id="how">How to read this page</h2>
    <div class="explained">
      <div>${asks(report) ? ofScores : ofNorms} ${pictures.length > 0 && html`<p>${orientation}</p>`}</div>
      <div>
        ${(same ? [networks[0]!] : networks).map(
          (network) =>
            html`${!same && html`<h3>${network.name}</h3>`}${network.definition.map((line) => html`<p class="formula">${line}</p>`)}`,
        )}
        <p class="quiet">
          z' is the test slice, z the training slice, i and j their classes, p the predicted and y the true class of a pixel, θ_t the
          network at checkpoint t. T is exact for this formula; it does not say what would happen if the network were trained without the
          region.
        </p>
      </div>
    </div>
  </section>`;
}
