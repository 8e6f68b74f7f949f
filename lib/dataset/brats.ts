/** The modalities and tumour classes of the BraTS challenges, under the names other data sets give them. */

export const MODALITIES = ['T1', 'T1ce', 'T2', 'FLAIR'] as const;

/** Foreground classes in label order, with the numbers they have in BraTS files up to 2021. */
export const BRATS_LABELS = [
  { name: 'NCR/NET', value: 1 },
  { name: 'ED', value: 2 },
  { name: 'ET', value: 4 },
] as const;
export const CLASSES: readonly string[] = BRATS_LABELS.map((label) => label.name);

/** Spellings met in BraTS, MSD, nnU-Net and BIDS, without case, spaces and punctuation. */
const MODALITY_SPELLINGS: Record<(typeof MODALITIES)[number], readonly string[]> = {
  T1: ['t1', 't1n', 't1w', 't1native', 't1pre'],
  T1ce: ['t1ce', 't1c', 't1gd', 't1wgd', 't1cw', 't1wce', 't1post', 't1contrast'],
  T2: ['t2', 't2w'],
  FLAIR: ['flair', 't2f', 't2flair', 'flairt2'],
};
const CLASS_SPELLINGS: Record<(typeof BRATS_LABELS)[number]['name'], readonly string[]> = {
  'NCR/NET': ['ncrnet', 'ncr', 'net', 'netc', 'necrosis', 'necrotictumorcore', 'nonenhancingtumor', 'nonenhancingtumorcore', 'necroticandnonenhancingtumorcore'],
  ED: ['ed', 'edema', 'peritumoraledema', 'snfh'],
  ET: ['et', 'enhancing', 'enhancingtumor', 'gdenhancingtumor'],
}; // prettier-ignore

function plain(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
    .replaceAll('tumour', 'tumor')
    .replaceAll('oedema', 'edema');
}

function finder(spellings: Record<string, readonly string[]>): (name: string) => string | undefined {
  const names = new Map(Object.entries(spellings).flatMap(([name, all]) => all.map((spelling) => [spelling, name])));
  return (name) => names.get(plain(name));
}

/** `T1w` → `T1`; undefined for what is no BraTS modality. */
export const bratsModality = finder(MODALITY_SPELLINGS);
/** `enhancing tumour` → `ET`; undefined for what is no BraTS class. */
export const bratsClass = finder(CLASS_SPELLINGS);
