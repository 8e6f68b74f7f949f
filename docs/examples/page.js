/**
 * A study as a page to read; from CommonJS.
 *     node docs/examples/page.js DATA RUN STUDY PAGE.html
 * DATA, RUN and STUDY as in embed.mjs.
 */
const { writeFile } = require('node:fs/promises');
const { buildReport, openDataset, openRun, openStudy, renderPage } = require('tracin-seg');

async function main([data, runFolder, studyFolder, page]) {
  const run = await openRun(runFolder);
  const study = await openStudy(studyFolder);
  const source = await openDataset({ dir: data, size: run.size, slices: { tumour: 8, spread: 4 } });
  try {
    const subject = { name: run.network.name, study, train: source, test: source };
    const report = await buildReport({ title: `What shaped ${run.network.name}`, subjects: [subject] });
    await writeFile(page, await renderPage(report));
  } finally {
    await source.close();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
});
