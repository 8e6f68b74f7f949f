/** The layouts by name, which of them a folder has, and its cases under one set of names. */
import { stat } from 'node:fs/promises';
import { TracinError } from '../../errors';
import { fileError } from '../../files';
import { check, list, oneOf, shape, text, whole } from '../../kinds';
import { chooseModalities, nameModalities, type NamedModality } from '../modalities';
import { brats, brats2023 } from './brats';
import { classesOf, orderClasses, type NamedClass } from './classes';
import { LAYOUTS, type CaseFiles, type LayoutName, type LayoutReader } from './layout';
import { manifest } from './manifest';
import { msd } from './msd';
import { nnunet } from './nnunet';
import { pngFolder } from './png-folder';

const READERS: Record<LayoutName, LayoutReader> = { brats, brats2023, nnunet, msd, manifest, png: pngFolder };

/** How a data folder is understood, where it is not as it says itself. */
export interface LayoutOptions {
  /** Default auto: the one the folder has. */
  readonly layout?: LayoutName | 'auto' | undefined;
  /** Which modalities, and in which order; default all as the data have them. BraTS modalities are known under their usual spellings. */
  readonly modalities?: readonly string[] | undefined;
  /** The number of each class in the label files, in place of what the data say. */
  readonly classes?: Readonly<Record<string, number>> | undefined;
}

/** How a folder was understood. */
export interface DataLayout {
  readonly name: LayoutName;
  /** As the networks get them. */
  readonly modalities: readonly NamedModality[];
  /** Label k + 1 is the k-th. */
  readonly classes: readonly NamedClass[];
}

/**
 * Lists the cases of a folder (or a manifest file).
 * @throws ERR_TRACIN_DATA when it has none of the layouts or several, or as the layout says;
 *   ERR_TRACIN_USAGE on an unknown layout or modality
 */
export async function findCases(dir: string, options: LayoutOptions): Promise<{ layout: DataLayout; cases: CaseFiles[] }> {
  const { layout = 'auto' } = options;
  await stat(dir).catch((error: unknown) => {
    throw fileError(error, 'read', dir);
  });
  const name = layout === 'auto' ? await detect(dir) : layout;
  const found = await READERS[name].find(dir, options.classes && classesOf(options.classes, 'classes'));
  const all = nameModalities(found.modalities);
  const present = all.map((one) => one.name);
  const wanted = options.modalities ?? present;
  const chosen = chooseModalities(wanted, present, dir);
  // Under the names that were asked for, so that a network trained on other data finds its own.
  const modalities = nameModalities(wanted).map(({ name }, i) => ({ name, spelled: all[chosen[i]!]!.spelled }));
  const cases = found.cases.map((one) => ({ ...one, images: chosen.map((m) => one.images[m]!) }));
  const classes = orderClasses(options.classes ? classesOf(options.classes, 'classes') : found.classes);
  return { layout: { name, modalities, classes }, cases: sortCases(cases, dir) };
}

async function detect(dir: string): Promise<LayoutName> {
  const matches = await Promise.all(LAYOUTS.map((name) => READERS[name].matches(dir)));
  const [name, ...others] = LAYOUTS.filter((_, i) => matches[i]);
  if (name === undefined) {
    const looked = LAYOUTS.map((one) => `${one}: ${READERS[one].looksFor}`).join('; ');
    throw new TracinError(
      'ERR_TRACIN_DATA',
      `${dir}: holds no layout that is known (looked for ${looked}): name another folder or write a manifest`,
    );
  }
  if (others.length > 0) {
    throw new TracinError('ERR_TRACIN_DATA', `${dir}: may be laid out as ${[name, ...others].join(' or ')}: say which with layout`);
  }
  return name;
}

/** By name; names become file names, so they are no paths. */
function sortCases(cases: CaseFiles[], dir: string): CaseFiles[] {
  cases.sort((a, b) => (a.case < b.case ? -1 : 1));
  const twice = cases.find((one, i) => one.case === cases[i + 1]?.case);
  if (twice) throw new TracinError('ERR_TRACIN_DATA', `${dir}: case ${twice.case} stands there twice: rename or remove one`);
  const path = cases.find((one) => /[/\\]|^\.{1,2}$/.test(one.case));
  if (path) throw new TracinError('ERR_TRACIN_DATA', `${dir}: case ${path.case} has a name that is a path: leave out / and \\`);
  return cases;
}

const named = { name: text, spelled: text };
const LAYOUT = shape<DataLayout>({
  name: oneOf(LAYOUTS),
  modalities: list(shape<NamedModality>(named)),
  classes: list(shape<NamedClass>({ ...named, value: whole(1) })),
});

/** One line for people: the layout, the modalities in their order, what the numbers in the label files mean. */
export function describeLayout(layout: DataLayout): string {
  check('describeLayout', { layout }, { layout: LAYOUT });
  const { name, modalities, classes } = layout;
  const spelled = (one: { readonly name: string; readonly spelled: string }): string =>
    one.name === one.spelled ? one.name : `${one.name} (${one.spelled})`;
  const values = classes.map((one) => `${one.value} ${spelled(one)}`);
  return `layout ${name}: modalities ${modalities.map(spelled).join(', ')}; labels 0 background, ${values.join(', ')}`;
}
