/** What tests of a study found: the verdict in words, then every figure with its interval. */
import type { Findings } from '../faithfulness/findings';
import { PARTS, type Part } from '../faithfulness/files';
import { inWords } from '../faithfulness/verdict';
import { percent, probability } from '../rounded';
import { html, type Html } from './html';
import { counted, figure } from './numbers';
import { quiet, table } from './table';

export function faithfulnessSection(findings: Findings, place: number): Html {
  const { mode, seed, resamples, verdict } = findings;
  return html`<section aria-labelledby="faithfulness-${place}">
    <h3 id="faithfulness-${place}">What was shown, and what was not</h3>
    <p class="quiet">Tests: ${mode}, seed ${seed}; 95 % intervals in brackets, from ${resamples} resamples of patients.</p>
    ${PARTS.map((part) => claims(part, verdict))}
    <details>
      <summary>The figures</summary>
      <div class="tables">${correlations(findings)}${ablation(findings)}${faults(findings)}${retraining(findings)}</div>
    </details>
  </section>`;
}

const TITLES: Readonly<Record<Part, string>> = {
  correlation: 'Do influential regions look alike to the network?',
  ablation: 'Does the network need the features that influence points at?',
  faults: 'Does influence find planted label errors?',
  retraining: 'Does training without influential patients hurt?',
};

function claims(part: Part, verdict: Findings['verdict']): Html | false {
  const found = verdict.filter((claim) => claim.part === part);
  return (
    found.length > 0 &&
    html`<h4>${TITLES[part]}</h4>
      <ul class="verdict">
        ${found.map(({ shown, words }) => html`<li class="${shown && 'shown'}">${emphasised(words)}</li>`)}
      </ul>`
  );
}

/** `not shown: …` with what was found in bold. */
function emphasised(words: string): Html {
  const [, found, rest] = /^(shown|not shown|not tested)(: [^]*)$/.exec(words) ?? [undefined, '', words];
  return html`<strong>${found}</strong>${rest}`;
}

function correlations({ correlation = [] }: Findings): Html | false {
  const classes = [...new Set(correlation.map((one) => one.class))];
  const of = (name: string, influence: string, similarity: string): string => {
    const one = correlation.find((c) => c.class === name && c.influence === influence && c.similarity === similarity && c.coefficient === 'spearman'); // prettier-ignore
    return one ? inWords(one) : '–';
  };
  return (
    classes.length > 0 &&
    table({
      caption: html`Influence against likeness of features ${quiet('(Spearman over training regions)')}`,
      head: ['Class', 'T, features', 'cosine, features', 'T, pooled', 'cosine, pooled'],
      rows: classes.map((name) => [
        name,
        ...['features', 'pooled'].flatMap((similarity) => ['none', 'cosine'].map((influence) => of(name, influence, similarity))),
      ]),
    })
  );
}

function ablation({ ablation: found }: Findings): Html | false {
  if (!found || 'skipped' in found) return false;
  return table({
    caption: html`Dice lost without one feature
    ${quiet(`(${counted(found.slices, 'slice')} of ${counted(found.patients, 'patient')} held out)`)}`,
    head: ['Class', 'Dice', 'selected', 'others', 'difference', 'effect', 'p', 'beats random sets'],
    rows: found.classes.map(({ class: name, dice, selected, selectedDrop, unselectedDrop, difference, test, random }) => [
      name,
      figure(dice, 3),
      `${figure(selectedDrop, 4)} (${selected.length})`,
      figure(unselectedDrop, 4),
      inWords(difference),
      figure(test.effect, 2),
      test.p === null ? '–' : probability(test.p),
      random.beaten === null ? '–' : percent(random.beaten),
    ]),
  });
}

function faults({ faults: found }: Findings): Html | false {
  if (!found || 'skipped' in found) return false;
  return table({
    caption: html`Planted label errors found ${quiet(`(${found.faulty} of ${counted(found.patients, 'patient')} have some)`)}`,
    head: ['Score', 'AUROC', 'recall at 20 %', `AUROC over ${found.baseline}`],
    rows: found.scores.map(({ score, baseline, auroc, recall20, overBaseline }) => [
      `${score}${baseline ? ' (baseline)' : ''}`,
      inWords(auroc),
      inWords(recall20),
      overBaseline ? inWords(overBaseline) : '–',
    ]),
  });
}

function retraining({ retraining: found }: Findings): Html | false {
  if (!found || 'skipped' in found) return false;
  const { removal, datamodel } = found;
  return html`${table({
    caption: html`Trained again without patients
    ${quiet(`(${removal.removed} of ${removal.patients} removed, ${counted(removal.seeds, 'seed')})`)}`,
    head: ['Loss rises more without the proponents than without', 'by'],
    rows: [
      ['as many random patients', inWords(removal.overRandom)],
      ['as many look-alikes', inWords(removal.overNeighbours)],
    ],
  })}${table({
    caption: html`Linear datamodelling score ${quiet(`(${datamodel.subsets} halves, ${counted(datamodel.regions, 'test region')})`)}`,
    head: ['Predictor', 'Spearman with minus the loss'],
    rows: datamodel.scores.map((one) => [`${one.predictor}${one.baseline ? ' (baseline)' : ''}`, inWords(one)]),
  })}`;
}
