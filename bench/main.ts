/**
 * `npm run bench [SUBJECT]`: runs one subject, prints its table, writes results/SUBJECT.json with the machine's description and puts the
 * table between the subject's marks in a page.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { coresHere } from '../lib/cores';
import { replaceFile } from '../lib/files';
import { toJson } from '../lib/json';
import * as dataset from './dataset';
import * as engines from './engines';
import * as faithfulness from './faithfulness';
import * as gpu from './gpu';
import * as growth from './growth';
import * as influence from './influence';
import * as promise from './promise';
import type { Subject } from './subject';
import * as training from './training';
import { renderTable, replaceTable } from './table';
import * as zoo from './zoo';

const SUBJECTS: Readonly<Record<string, Subject>> = { dataset, engines, faithfulness, gpu, growth, influence, promise, training, zoo };
/** The sources' folder, seen from dist/bench. */
const ROOT = resolve(__dirname, '../..');

const machine = {
  processor: cpus()[0]?.model.trim() ?? 'unknown processor',
  cores: coresHere(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.versions.node,
};

async function main(name = 'engines'): Promise<void> {
  const subject = SUBJECTS[name];
  if (!subject) throw new Error(`no subject ${name}: choose one of ${Object.keys(SUBJECTS).join(', ')}`);
  const dir = await mkdtemp(join(tmpdir(), 'tracin-bench-'));
  try {
    const { results, rows, others = [], about } = await subject.run(dir);
    const where = `${machine.processor}, ${machine.cores} cores, Node ${machine.node}`;
    const further = others.map((one) => `### ${one.title}\n\n${renderTable(one.rows)}`);
    const table = [renderTable(rows), `${[...about, where].join('; ')}.`, ...further].join('\n\n');
    await replaceFile(join(ROOT, 'bench', 'results', `${name}.json`), toJson({ machine, ...results }));
    await replaceTable(join(ROOT, subject.PAGE), name, table);
    console.log(table);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

main(process.argv[2]).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
