/** One test slice on the page: its pictures on one side, and for each class who pushed and who pulled on the other. */
import { film, filled, outlined } from './film';
import { html, type Html } from './html';
import type { PicturedRanking, PicturedRegion, RegionReport, Report, SliceReport } from './model';
import { cosine, counted, dice, score } from './numbers';

export function sliceCard(report: Report, slice: SliceReport): Html {
  const { classes } = report;
  return html`<article class="card">
    <h3>${slice.case}, slice ${slice.slice}</h3>
    ${slice.dice && html`<p class="quiet">Dice of the whole case: ${classes.map((name, k) => html`${k > 0 && ', '}${name} <span class="number">${dice(slice.dice![k])}</span>`)}</p>`}
    <div class="slice">
      <div>
        <div class="films">${slice.pictures.map((picture) => testFilm(report, slice, picture))}</div>
        <p class="quiet">${[slice.predicted && 'Filled: predicted.', slice.truth && 'Outlined: the labels.'].filter(Boolean).join(' ')}</p>
      </div>
      <div>${slice.regions.map((region, k) => regionPart(report, region, k))}</div>
    </div>
  </article>`;
}

function testFilm({ pictures, classes }: Report, slice: SliceReport, { modality, picture }: SliceReport['pictures'][number]): Html {
  const overlays = classes.flatMap((_, k) => [
    slice.predicted && filled(slice.predicted[k]!, k),
    slice.truth && outlined(slice.truth[k]!, k),
  ]);
  const label = `${modality} of ${slice.case}, slice ${slice.slice}, with the regions of ${classes.join(', ')}`;
  return html`<figure>
    ${film({ pictures, picture, label, overlays: overlays.filter((one) => one !== undefined), edges: true })}
    <figcaption>${modality}</figcaption>
  </figure>`;
}

function regionPart(report: Report, region: RegionReport, k: number): Html {
  return html`<section class="region">
    <h4>
      <span class="swatch" style="--colour:var(--class-${k})"></span
      >${region.class}${region.pixels > 0 && html` <span class="quiet">${counted(region.pixels, 'pixel')}</span>`}
    </h4>
    ${region.pixels === 0 ? html`<p class="quiet">No ${region.class} region in this slice.</p>` : region.rankings.map((ranking) => rankingLists(report, ranking))}
  </section>`;
}

const NAMES = { none: 'raw', cosine: 'cosine', relative: 'relative' } as const;

function rankingLists(report: Report, ranking: PicturedRanking): Html {
  const strongest = Math.max(...[...ranking.proponents, ...ranking.opponents].map((one) => Math.abs(one.score)));
  const scale = ranking.bound ?? strongest;
  const list = (kind: 'proponent' | 'opponent', regions: readonly PicturedRegion[]): Html =>
    html`<div class="${kind}">
      <h5>
        <span class="sign">${kind === 'proponent' ? '▲ Proponents' : '▼ Opponents'}</span>
        <span class="quiet">${NAMES[ranking.normalize]}, of ${counted(ranking.candidates, `${ranking.trainClass} region`)}</span>
      </h5>
      ${
        regions.length === 0
          ? html`<p class="quiet">None: no training region has a score ${kind === 'proponent' ? 'above' : 'below'} zero.</p>`
          : html`<ol class="strip">
              ${regions.map((region) => html`<li>${trainingFilm(report, ranking, region, scale)}</li>`)}
            </ol>`
      }
    </div>`;
  return html`<div class="lists ranking-${ranking.normalize}">
    ${list('proponent', ranking.proponents)}${list('opponent', ranking.opponents)}
  </div>`;
}

function trainingFilm({ pictures, classes }: Report, ranking: PicturedRanking, region: PicturedRegion, scale: number): Html {
  const k = classes.indexOf(region.class);
  const label = `${region.modality} of ${region.case}, slice ${region.slice}, with its ${region.class} region`;
  const overlays = [outlined(region.outline, k)].filter((one) => one !== undefined);
  const written = score(region.score);
  return html`<figure>
    ${film({ pictures, picture: region.picture, label, overlays })}
    <figcaption>
      <span class="bar" style="--share:${(Math.abs(region.score) / scale).toFixed(3)}"></span>
      ${ranking.bound === undefined ? html`<span class="score number">${written}</span>` : html`<span class="score number">${cosine(region.score / ranking.bound)}</span> <span class="quiet number">${written}</span>`}<br />
      ${whole(`${region.case},`)} ${whole(`slice ${region.slice}`)}<br />
      <span class="quiet">${whole(`${region.modality},`)} ${whole(counted(region.pixels, 'pixel'))}</span>
    </figcaption>
  </figure>`;
}

/** Words that go to the next line together. */
function whole(text: string): Html {
  return html`<span class="whole">${text}</span>`;
}
