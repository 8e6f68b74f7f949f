/**
 * Which training regions shaped what a network says about its test patients? Prints one line of JSON for each region.
 *     node docs/examples/embed.mjs DATA RUN STUDY
 * DATA is a BraTS folder, RUN a run that `tracin-seg train` made from it, STUDY a new folder (or an unfinished one, which is gone on with).
 */
import { TracinError, computeInfluence, openDataset, openEngine, openRun, rank } from 'tracin-seg';

const [data, runFolder, out] = process.argv.slice(2);
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const sources = [];

try {
  const run = await openRun(runFolder);
  const { engine } = await openEngine('auto');
  const slices = await openDataset({ dir: data, size: run.size, slices: { tumour: 8, spread: 4 }, signal: stop.signal });
  sources.push(slices);
  const [train, test] = [slices.subset(run.split.train), slices.subset(run.split.test)];
  sources.push(train, test);

  const study = await computeInfluence({
    networks: { run: run.dir },
    train,
    test,
    engine,
    out,
    resume: true,
    signal: stop.signal,
    onProgress: ({ stage, done, total }) => process.stderr.write(`\r${stage} ${done}/${total}  `),
  });
  process.stderr.write('\n');

  for (const [row, slice] of study.tests.slices.entries()) {
    for (const [k, name] of study.classes.entries()) {
      if (study.tests.pixels[row][k] === 0) continue; // the network predicts no such region here
      const query = { test: { case: slice.case, slice: slice.index }, class: name, top: 1 };
      const { zeroGradient, proponents } = await rank(study, query);
      if (zeroGradient) continue; // no pixel of this region is of its class in the labels: nothing influences it
      const weighed = proponents[0]; // how much it weighed
      const alike = (await rank(study, { ...query, normalize: 'cosine' })).proponents[0]; // how alike it is
      console.log(JSON.stringify({ case: slice.case, slice: slice.index, class: name, weighed, alike }));
    }
  }
} catch (error) {
  if (!(error instanceof TracinError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = error.exitCode;
} finally {
  for (const source of sources) await source.close();
}
