/** The built package as others meet it: by import and by require, with types, and as a tarball. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = resolve(__dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'tracin-package-'));

beforeAll(() => {
  mkdirSync(join(dir, 'node_modules'));
  symlinkSync(root, join(dir, 'node_modules', 'tracin-seg'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function printed(file: string, source: string): Promise<unknown> {
  writeFileSync(join(dir, file), source);
  const { stdout, stderr } = await run(process.execPath, [join(dir, file)], { cwd: dir });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

test('import and require give the same names', async () => {
  const imported = await printed('a.mjs', `import * as all from 'tracin-seg'; console.log(JSON.stringify(Object.keys(all).sort()));`);
  const required = await printed('a.cjs', `console.log(JSON.stringify(Object.keys(require('tracin-seg')).sort()));`);
  expect(imported).toEqual(required);
  expect(imported).toEqual(
    expect.arrayContaining(['TracinError', 'computeInfluence', 'openDataset', 'openStudy', 'predict', 'rank', 'train']),
  );
});

test('both are one module: an error thrown by one is an instance of the other', async () => {
  const source = `import { createRequire } from 'node:module'; import { TracinError, openStudy } from 'tracin-seg';
    const error = await createRequire(import.meta.url)('tracin-seg').openStudy('nowhere').catch((e) => e);
    console.log(JSON.stringify([error instanceof TracinError, error.code]));`;
  expect(await printed('b.mjs', source)).toEqual([true, 'ERR_TRACIN_STUDY']);
});

test('types resolve for both, strictly', async () => {
  const use = `export const study: Promise<Study> = openStudy('s');
    export const list = study.then((s) => rank(s, { test: { case: 'a' }, class: 'ET' })).then(({ proponents }) => proponents[0]?.score.toFixed());
    // @ts-expect-error a study is not a number
    export const wrong: number = openStudy('s');`;
  writeFileSync(join(dir, 'c.mts'), `import { openStudy, rank, type Study } from 'tracin-seg';\n${use}`);
  writeFileSync(join(dir, 'c.cts'), `import { openStudy, rank, type Study } from 'tracin-seg';\n${use}`);
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    'node',
    '--typeRoots',
    join(root, 'node_modules/@types'),
  ];
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const outcome = await run(process.execPath, [tsc, ...options, 'c.mts', 'c.cts'], { cwd: dir }).catch(
    (error: { stdout: string }) => error,
  );
  expect(outcome.stdout).toBe('');
});

test('source maps carry their sources, which are not in the tarball', () => {
  const lib = join(root, 'dist', 'lib');
  const maps = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js.map'));
  const bare = maps.filter((path) => !readFileSync(join(lib, path), 'utf8').includes('"sourcesContent":["'));
  expect(maps.length).toBeGreaterThan(100);
  expect(bare).toEqual([]);
});

test('a checkout without its npm packages is told how to get them', async () => {
  const bare = mkdtempSync(join(dir, 'bare-'));
  cpSync(join(root, 'scripts'), join(bare, 'scripts'), { recursive: true });
  for (const source of ['lib', 'models', 'bench', 'tsconfig.json', 'package-lock.json']) writeFileSync(join(bare, source), '');
  const { stderr } = await run(process.execPath, [join(bare, 'scripts', 'build.mjs')]).catch((error: { stderr: string }) => error);
  expect(stderr).toMatch(/^error: there is no .*tsc: `npm run setup` installs what is missing, and builds\n$/);
});

test('the tarball holds what runs and what builds, and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      'package.json',
      'README.md',
      'LICENSE',
      'CMakeLists.txt',
      'docs/method.md',
      'dist/lib/index.js',
      'dist/lib/index.mjs',
      'dist/lib/index.d.ts',
      'dist/lib/index.d.mts',
      'dist/lib/cli/main.js',
      'dist/models/registry.js',
    ]),
  );
  expect(
    paths.filter((path) => !/^(dist\/(lib|models)|native|docs)\/|^(package\.json|README\.md|LICENSE|CMakeLists\.txt)$/.test(path)),
  ).toEqual([]);
});
