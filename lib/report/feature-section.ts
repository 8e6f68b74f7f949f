/** The features of the last hidden layer: which ones influential regions share with their tests, and what the network loses without them. */
import type { Findings } from '../faithfulness/findings';
import { decimals } from '../rounded';
import { drawAblationDensity } from './ablation-density';
import { PAGE_INK, type Drawing } from './charts';
import { html, type Html } from './html';
import { drawInterpretativeMap } from './interpretative-map';
import type { FeatureReport } from './model';
import { table } from './table';

export function featureSection(
  features: FeatureReport,
  findings: Findings | undefined,
  classes: readonly string[],
  place: number,
  drawing: Drawing,
): Html {
  const { maps, shuffles, seed, normalize } = features;
  const ablation = findings?.ablation;
  const fewer = maps.some(({ curves }) => curves.length < features.features);
  const found = maps.filter(({ curves }) => curves.some(({ selected }) => selected));
  return html`<section aria-labelledby="features-${place}">
    <h3 id="features-${place}">Features that influential regions share</h3>
    <p>
      FI is how alike the n-th ranked training region is to its test region in one of the ${features.features} maps of the last hidden
      layer, mean over test regions, ranked by ${normalize === 'none' ? 'influence T' : `${normalize} influence`}. A feature is selected (in
      colour) when its curve falls from the first to the middle third of ranks by more than in 95 % of ${shuffles} shuffles (seed ${seed});
      one in twenty is selected by chance.${fewer && ' Of the features that were not selected only some are drawn.'}
    </p>
    <div class="plots">
      ${maps.map((map, k) => html`<figure class="plot">${drawInterpretativeMap(features, map, k, drawing, PAGE_INK)}</figure>`)}
    </div>
    ${
      found.length > 0 &&
      html`<details>
        <summary>The selected features in numbers</summary>
        ${found.map((map) =>
          table({
            caption: `${map.class}: ${map.tests} test and ${map.trainings} training regions`,
            head: ['Feature', 'contrast', 'by chance'],
            rows: map.curves
              .filter(({ selected }) => selected)
              .sort((a, b) => b.contrast! - a.contrast!)
              .map(({ feature, contrast, threshold }) => [String(feature), decimals(contrast!, 4), decimals(threshold!, 4)]),
          }),
        )}
      </details>`
    }
    ${
      ablation &&
      !('skipped' in ablation) &&
      html`<h4>Dice lost without a feature</h4>
        <p>
          Each feature was set to zero before the last convolution, and Dice was taken again over ${ablation.slices} slices of
          ${ablation.patients} patients that had no part in the selection. If influence pointed at what the network needs, the hill of the
          selected features would lie to the right of the others.
        </p>
        <div class="plots">
          ${ablation.classes.map((one) => html`<figure class="plot">${drawAblationDensity(one, classes.indexOf(one.class), drawing, PAGE_INK)}</figure>`)}
        </div>`
    }
  </section>`;
}
