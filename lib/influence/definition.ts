/** What an influence means in one study: which loss of which pixels, against which targets, over which parameters. */
import { z } from 'zod';
import type { RegionLoss } from '../engine/engine';
import { TracinError } from '../errors';
import { shown } from '../kinds';

/** Settings as they are given, on the command line or in a call; every one has a default. */
const settings = {
  loss: z.enum(['dice', 'cross-entropy']),
  /** Which pixels speak for class c: argmax of the last checkpoint = c, label = c, or every pixel. */
  region: z.enum(['predicted', 'truth', 'slice']),
  /** What the test slices are held against. Training slices are always held against their labels. */
  target: z.enum(['truth', 'predicted']),
  /** `head`: the last convolution's kernel alone; otherwise glob patterns over initializer names. */
  parameters: z.union([z.enum(['all', 'head']), z.array(z.string().min(1)).min(1)]),
  reduction: z.enum(['mean', 'sum']),
  /** η_t of each checkpoint: as recorded in the run (or given with the files), or 1 for all. */
  learningRates: z.enum(['recorded', 'one']),
};
const PRESETS = ['paper-code'] as const;

/** A definition in which nothing is left open; the form kept in study.json. */
export const definitionSchema = z.strictObject(settings);
/** What influence means in a study: loss, regions, targets and parameters. */
export type Definition = z.infer<typeof definitionSchema>;

export const definitionOptionsSchema = definitionSchema.partial().extend({ preset: z.enum(PRESETS).optional() });
/** A definition of which what is not said has its default. */
export type DefinitionOptions = z.infer<typeof definitionOptionsSchema>;

const DEFAULTS: Definition = {
  loss: 'dice',
  region: 'predicted',
  target: 'truth',
  parameters: 'all',
  reduction: 'mean',
  learningRates: 'recorded',
};

/** `paper-code`: what the published notebooks of Torda et al. 2025 compute, as opposed to what their text says. */
const PRESET_DEFINITIONS: Record<(typeof PRESETS)[number], Definition> = {
  'paper-code': { ...DEFAULTS, region: 'slice', parameters: 'head', learningRates: 'one' },
};

const CHOICES: Record<string, string> = {
  loss: 'dice or cross-entropy',
  region: 'predicted, truth or slice',
  target: 'truth or predicted',
  parameters: 'all, head or a list of glob patterns over initializer names',
  reduction: 'mean or sum',
  learningRates: 'recorded or one',
  preset: PRESETS.join(' or '),
};

/**
 * Fills in what was left open and refuses what cannot be meant.
 * @throws ERR_TRACIN_USAGE for an unknown setting or value, a setting that contradicts the preset, cross-entropy over the
 *   whole slice (every class would have the same loss), and a sum of Dice losses (Dice is one ratio, not a mean)
 */
export function resolveDefinition(options: DefinitionOptions = {}): Definition {
  const parsed = definitionOptionsSchema.safeParse(options);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    if (issue.code === 'unrecognized_keys') throw usage(`unknown setting ${issue.keys[0]}: choose from ${Object.keys(CHOICES).join(', ')}`);
    const name = String(issue.path[0]);
    throw usage(`${name} must be ${CHOICES[name]}, not ${shown(options[name as keyof DefinitionOptions])}`);
  }
  const { preset, ...given } = parsed.data;
  const base = preset ? PRESET_DEFINITIONS[preset] : DEFAULTS;
  const definition: Definition = { ...base };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const fixed = base[name as keyof Definition];
    if (preset && JSON.stringify(value) !== JSON.stringify(fixed)) {
      throw usage(`${name} ${String(value)} contradicts preset ${preset} (${name} ${String(fixed)}): leave one of them out`);
    }
    Object.assign(definition, { [name]: value });
  }
  if (definition.loss === 'cross-entropy' && definition.region === 'slice') {
    throw usage(
      'region slice has no meaning with loss cross-entropy, every class would be the same: choose predicted or truth, or loss dice',
    );
  }
  if (definition.loss === 'dice' && definition.reduction === 'sum') {
    throw usage(
      'reduction sum has no meaning with loss dice, which is one ratio over the region: leave it out, or choose loss cross-entropy',
    );
  }
  return definition;
}

function usage(message: string): TracinError {
  return new TracinError('ERR_TRACIN_USAGE', `influence definition: ${message}`);
}

/** The loss as engines take it. */
export function regionLoss(definition: Definition): RegionLoss {
  return { kind: definition.loss, reduction: definition.reduction };
}

/** Whether the last checkpoint's predicted labels are needed at all. */
export function needsPrediction(definition: Definition): boolean {
  return definition.region === 'predicted' || definition.target === 'predicted';
}

const MASKS: Record<Definition['region'], string> = {
  predicted: 'm = pixels the last checkpoint predicts as c',
  truth: 'm = pixels labelled c',
  slice: 'm = every pixel of the slice',
};

function lossFormula({ loss, reduction }: Definition): string {
  if (loss === 'dice') return 'L_c = 1 − 2 Σ_m y_c p_c / (Σ_m (y_c² + p_c²) + 1e-7)';
  return reduction === 'mean' ? 'L_c = 1/|m| Σ_m −log p_y' : 'L_c = Σ_m −log p_y';
}

function parameterWords({ parameters }: Definition): string {
  if (parameters === 'all') return 'all trainable parameters';
  if (parameters === 'head') return "the last convolution's kernel alone";
  return `the parameters matching ${parameters.join(', ')}`;
}

/** The definition in words and formulas, one line each, for people. */
export function describeDefinition(definition: Definition): string[] {
  const targets = definition.target === 'truth' ? 'the labels' : 'for test slices the predicted labels, for training slices the labels';
  return [
    `loss of class c: ${lossFormula(definition)}, ${MASKS[definition.region]}`,
    `targets y: ${targets}`,
    `gradients ∇L: with respect to ${parameterWords(definition)}`,
    `influence: T[i, j] = Σ_t η_t ∇L_i(θ_t, z'_i) · ∇L_j(θ_t, z_j), ${
      definition.learningRates === 'recorded' ? 'η_t the learning rate at checkpoint t' : 'η_t = 1 at every checkpoint'
    }`,
  ];
}
