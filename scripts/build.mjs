/** Builds dist/ from the TypeScript sources and build/Release/*.node from native/, each only when a source is newer. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeEsm } from './write-esm.mjs';
import { fail, missing } from './system.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Newest change at or under a path; a folder counts too, so that a deleted file is noticed. */
function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  return stat.isDirectory() ? Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name)))) : stat.mtimeMs;
}

/** Runs `make` unless the stamp it leaves is newer than every source. */
function when(stamp, sources, make) {
  const file = join(root, stamp);
  const changed = Math.max(...sources.map((source) => newest(join(root, source))));
  if ((statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) > changed) return;
  const started = new Date();
  make();
  writeFileSync(file, '');
  utimesSync(file, started, started); // what changed meanwhile is built next time
}

function run(what, script, ...words) {
  console.error(`building ${what}`);
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...words], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) fail(`building ${what} failed: the compiler's own message stands above`);
}

/** Takes away what was compiled from a source that is no longer there. */
function removeOrphans(folder) {
  for (const entry of readdirSync(folder, { recursive: true })) {
    const [, stem] = /^(.*)\.(?:js|js\.map|d\.ts)$/.exec(entry) ?? [];
    if (stem && !existsSync(join(root, relative(join(root, 'dist'), folder), `${stem}.ts`))) rmSync(join(folder, entry));
  }
}

when('dist/.built', ['lib', 'models', 'bench', 'tsconfig.json', 'package-lock.json', 'scripts'], () => {
  run('dist/', 'typescript/bin/tsc', '-p', '.');
  for (const folder of ['lib', 'models', 'bench']) if (existsSync(join(root, 'dist', folder))) removeOrphans(join(root, 'dist', folder));
  writeEsm(join(root, 'dist', 'lib'));
  chmodSync(join(root, 'dist', 'lib', 'cli', 'main.js'), 0o755);
});

const absent = missing();
if (absent.length > 0) {
  console.error(`the native engine is not built for want of ${absent.map(({ what }) => what).join(', ')}: \`npm run setup\` installs them`);
} else {
  when('build/.built', ['native', 'CMakeLists.txt', 'package-lock.json'], () => {
    run('the native engine (a minute or two)', 'cmake-js/bin/cmake-js', 'compile', '--parallel', '2');
  });
}
