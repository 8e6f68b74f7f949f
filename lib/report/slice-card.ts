/** One test slice on the page: its pictures on one side, and for each class who pushed and who pulled on the other. */
import { ZERO_GRADIENT } from '../influence/ranking';
import { film, filled, mapLayer, outlined } from './film';
import { html, type Html } from './html';
import type { PicturedRanking, PicturedRegion, RegionReport, Report, SliceReport } from './model';
import { cosine, counted, dice, score } from './numbers';

export function sliceCard(report: Report, slice: SliceReport, id: string): Html {
  const { classes } = report;
  const words = [slice.predicted && 'Filled: predicted.', slice.truth && 'Outlined: the labels.'].filter(Boolean).join(' ');
  return html`<article class="card" aria-labelledby="${id}">
    <h3 id="${id}">${slice.case}, slice ${slice.slice}</h3>
    ${slice.dice && html`<p class="quiet">Dice of this case: ${classes.map((name, k) => html`${k > 0 && ', '}${name} <span class="number">${dice(slice.dice![k])}</span>`)}</p>`}
    <div class="slice">
      ${
        slice.pictures.length > 0 &&
        html`<div>
          <div class="films">${slice.pictures.map((picture) => testFilm(report, slice, picture))}</div>
          <p class="quiet">${words}</p>
        </div>`
      }
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
    ${film({ pictures, picture, label, overlays: [html`<g class="labels">${overlays}</g>`], edges: true })}
    <figcaption>${modality}</figcaption>
  </figure>`;
}

function regionPart(report: Report, region: RegionReport, k: number): Html {
  return html`<section class="region">
    <h4>
      <span class="swatch" style="--colour:var(--class-${k})"></span
      >${region.class}${region.pixels > 0 && html` <span class="quiet">${counted(region.pixels, 'pixel')}</span>`}
    </h4>
    ${rankings(report, region)}
  </section>`;
}

function rankings(report: Report, region: RegionReport): Html | Html[] {
  if (region.pixels === 0) return html`<p class="quiet">No ${region.class} region in this slice.</p>`;
  if (region.rankings.some(({ zeroGradient }) => zeroGradient)) return html`<p class="quiet">${ZERO_GRADIENT}</p>`;
  return region.rankings.map((ranking) => rankingLists(report, region, ranking));
}

const NAMES = { none: 'raw', cosine: 'cosine', relative: 'relative' } as const;

function rankingLists(report: Report, test: RegionReport, ranking: PicturedRanking): Html {
  const strongest = Math.max(...[...ranking.proponents, ...ranking.opponents].map((one) => Math.abs(one.score)));
  const of =
    ranking.by === 'slice'
      ? `of ${counted(ranking.candidates, `${ranking.trainClass} region`)}`
      : `sums of ${counted(ranking.candidates, 'patient')}, the strongest slice shown`;
  const list = (kind: 'proponent' | 'opponent', regions: readonly PicturedRegion[]): Html =>
    html`<div class="${kind}">
      <h5>
        <span class="sign">${kind === 'proponent' ? '▲ Proponents' : '▼ Opponents'}</span>
        <span class="quiet">${NAMES[ranking.normalize]}, ${of}</span>
      </h5>
      ${
        regions.length === 0
          ? html`<p class="quiet">None: nothing has a score ${kind === 'proponent' ? 'above' : 'below'} zero.</p>`
          : html`<ol class="strip">
              ${regions.map((region) => html`<li>${neighbour(report, test, ranking, region, strongest)}</li>`)}
            </ol>`
      }
    </div>`;
  return html`<div class="lists ranking-${ranking.normalize} by-${ranking.by}">
    ${list('proponent', ranking.proponents)}${list('opponent', ranking.opponents)}
  </div>`;
}

function neighbour(report: Report, test: RegionReport, ranking: PicturedRanking, region: PicturedRegion, strongest: number): Html {
  const { by } = ranking;
  // A cosine has a largest value of its own; sums have that of the lists.
  const share = Math.abs(by === 'slice' && region.cosine !== undefined ? region.cosine : region.score / strongest);
  return html`<figure>
    ${films(report, test, region)}
    <figcaption>
      <span class="bar" style="--share:${share.toFixed(3)}"></span>
      ${scoreWords(region, by)}<br />
      ${where(region, by)}${region.stable !== undefined && html`<br />${quietly(region.stable ? '★ leads in every seed' : 'not in every seed')}`}<br />
      <span class="quiet"
        >${region.shown && html`${whole(`${region.shown.modality},`)} `}${whole(counted(region.pixels, 'pixel'))}${
          region.maps && html`<span class="maps"><br />maps sum to T = <span class="number">${score(region.maps.score)}</span></span>`
        }</span
      >
    </figcaption>
  </figure>`;
}

function scoreWords(region: PicturedRegion, by: 'slice' | 'patient'): Html {
  const written = score(region.score);
  if (region.cosine === undefined) return html`<span class="score number">${written}</span>`;
  const mean = html`<span class="score number">${cosine(region.cosine)}</span>`;
  if (by === 'slice') return html`${mean} <span class="quiet number">${written}</span>`;
  return html`${mean} <span class="quiet">mean, sum <span class="number">${written}</span></span>`;
}

function where({ case: name, slice, patient, regions }: PicturedRegion, by: 'slice' | 'patient'): Html {
  if (by === 'slice') return html`${whole(`${name},`)} ${whole(`slice ${slice}`)}`;
  const strongest = name === patient ? `slice ${slice}` : `${name}, slice ${slice}`;
  return html`${whole(`${patient},`)} ${whole(counted(regions, 'region'))}<br />${quietly(`shown: ${strongest}`)}`;
}

/** The training slice; where maps are looked at, what lies around the two regions instead. */
function films({ pictures, classes }: Report, test: RegionReport, { shown, maps, ...region }: PicturedRegion): Html | undefined {
  if (!shown) return undefined;
  const { picture, modality, outline } = shown;
  const overlays = [html`<g class="outlines">${outlined(outline, classes.indexOf(region.class))}</g>`];
  const label = `${modality} of ${region.case}, slice ${region.slice}, with its ${region.class} region`;
  const whole = html`<div class="unmapped">${film({ pictures, picture, label, overlays })}</div>`;
  if (!maps || test.picture === undefined) return whole;
  const mapped = (of: number, map: number, around: string, words: string): Html =>
    film({ pictures, picture: of, label: words, overlays: [mapLayer(pictures, map, around)], around });
  return html`${whole}
    <div class="maps">
      ${mapped(picture, maps.train, outline, `${modality} of ${region.case}, slice ${region.slice}: which pixels of its ${region.class} region pushed and which pulled`)}
      <span class="quiet">training slice</span>
      ${mapped(test.picture, maps.test, test.outline ?? '', `the test slice: which pixels of its ${test.class} region felt ${region.case}`)}
      <span class="quiet">test slice</span>
    </div>`;
}

/** Words that go to the next line together. */
function whole(text: string): Html {
  return html`<span class="whole">${text}</span>`;
}

function quietly(text: string): Html {
  return html`<span class="quiet whole">${text}</span>`;
}
