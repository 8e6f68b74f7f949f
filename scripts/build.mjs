/** Builds dist/ from the TypeScript sources and build/Release/*.node from native/, each only when a source is newer. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
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

/** Runs `make` unless the stamp it leaves is newer than every source and no variable of the environment says otherwise than then. */
function when(stamp, sources, make, variables = []) {
  const file = join(root, stamp);
  const changed = Math.max(...sources.map((source) => newest(join(root, source))));
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8') || '{}') : {};
  const told = Object.fromEntries(variables.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
  const same = Object.entries(told).every(([name, value]) => before[name] === value);
  if (same && (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) > changed) return;
  const started = new Date();
  make();
  writeFileSync(file, JSON.stringify({ ...before, ...told }));
  utimesSync(file, started, started); // what changed meanwhile is built next time
}

function run(what, script, ...words) {
  const file = join(root, 'node_modules', script);
  if (!existsSync(file)) fail(`there is no ${file}: \`npm run setup\` installs what is missing, and builds`);
  if (what) console.error(`building ${what}`);
  const { status } = spawnSync(process.execPath, [file, ...words], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) fail(`building ${what} failed: the compiler's own message stands above`);
}

/** Takes away what was compiled from a source that is no longer there. */
function removeOrphans(folder) {
  for (const entry of readdirSync(folder, { recursive: true })) {
    const [, stem] = /^(.*)\.(?:js|js\.map|d\.ts)$/.exec(entry) ?? [];
    if (stem && !existsSync(join(root, relative(join(root, 'dist'), folder), `${stem}.ts`))) rmSync(join(folder, entry));
  }
}

/** Where the CUDA engine and what it is built with are told of; what was told stays in force until told otherwise. */
const CUDA_VARIABLES = ['TRACIN_CUDA', 'CUDAARCHS', 'CUDACXX', 'CUDAToolkit_ROOT', 'CUDNN_ROOT', 'CUBLAS_ROOT', 'PYTHON'];

/** The addon with the cpu engine, then the cuda engine's own library where there is what it takes. */
function buildNative() {
  const cuda = process.env.TRACIN_CUDA ? [`--CDTRACIN_CUDA=${process.env.TRACIN_CUDA}`] : [];
  // `compile` by itself configures a fresh folder only
  run('the native engine (a minute or two)', 'cmake-js/bin/cmake-js', 'configure', '--log-level', 'warn', ...cuda);
  run('', 'cmake-js/bin/cmake-js', 'compile', '--target', 'tracin', '--parallel', '2', ...cuda);
  const library = join(root, 'build', 'Release', 'libtracin-cuda');
  if (existsSync(`${library}.txt`)) return console.error(`the cuda engine is not built: ${readFileSync(`${library}.txt`, 'utf8').trim()}`);
  const [, architectures] =
    /^TRACIN_CUDA_ARCHITECTURES:INTERNAL=(.*)$/m.exec(readFileSync(join(root, 'build', 'CMakeCache.txt'), 'utf8')) ?? [];
  console.error(
    `building the cuda engine for compute capability ${architectures} (the first time a minute or two for each; CUDAARCHS says for which)`,
  );
  const { status } = spawnSync('cmake', ['--build', 'build', '--target', 'tracin-cuda', '--parallel', '2'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  if (process.env.TRACIN_CUDA === 'ON') fail("building the cuda engine failed: the compiler's own message stands above");
  console.error("the cuda engine is left out: the compiler's own message stands above");
  writeFileSync(`${library}.txt`, 'it did not compile\n');
  rmSync(`${library}.so`, { force: true });
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
  when('build/.built', ['native', 'CMakeLists.txt', 'package-lock.json'], buildNative, CUDA_VARIABLES);
}
