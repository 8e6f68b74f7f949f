/** What is needed besides npm packages, above all to build the native engine: looked for here, installed on Debian and its kin. Plain Node. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** Folders that hold `include/` and `lib/`: where CMake's find_package looks too. */
function prefixes() {
  const named = ['CMAKE_PREFIX_PATH', 'DNNL_ROOT', 'dnnl_ROOT', 'CONDA_PREFIX'].flatMap((name) => (process.env[name] ?? '').split(/[:;]/));
  return [...named.filter(Boolean), '/usr', '/usr/local', '/opt/homebrew', '/opt/homebrew/opt/onednn'];
}

const NEEDED = [
  { debian: 'g++', what: 'a C++20 compiler', found: () => ['c++', 'g++', 'clang++'].some(runs) },
  { debian: 'make', what: 'make or ninja', found: () => ['make', 'ninja'].some(runs) },
  { debian: 'cmake', what: 'cmake 3.18 or newer', found: () => runs('cmake') },
  {
    debian: 'libdnnl-dev',
    what: 'oneDNN 2.6 or newer with its headers',
    found: () =>
      prefixes().some(
        (prefix) => existsSync(join(prefix, 'include', 'dnnl.hpp')) || existsSync(join(prefix, 'include', 'oneapi', 'dnnl', 'dnnl.hpp')),
      ),
  },
  {
    // Debian's oneDNN is built with OpenCL and its CMake files look for it, but the package does not depend on it.
    debian: 'ocl-icd-opencl-dev',
    what: 'OpenCL headers',
    found: () => !runs('apt-get') || existsSync('/usr/include/CL/cl.h'),
  },
];

/** What the slow tests look at pages with. */
const BROWSER = { debian: 'chromium', what: 'Chromium', found: () => ['chromium', 'chromium-browser', 'google-chrome'].some(runs) };

/** What is not here, in the words of NEEDED. */
export const missing = ({ browser = false } = {}) => [...NEEDED, ...(browser ? [BROWSER] : [])].filter(({ found }) => !found());

/** Makes `missing(options)` empty, or ends the process with one line saying what to do. */
export function install(options) {
  const absent = missing(options);
  if (absent.length === 0) return;
  const packages = absent.map(({ debian }) => debian);
  if (!runs('apt-get')) fail(`this needs ${absent.map(({ what }) => what).join(', ')}: install them and run again`);
  if (process.getuid() !== 0)
    fail(`run this once, then try again: sudo sh -c 'apt-get update && apt-get install -y ${packages.join(' ')}'`);
  console.error(`installing ${packages.join(', ')}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const words of [['update'], ['install', '-y', '--no-install-recommends', ...packages]]) {
    const { status } = spawnSync('apt-get', ['-q', '-o', 'Acquire::Retries=3', ...words], { stdio: ['ignore', 2, 2], env: environment });
    if (status !== 0) fail(`apt-get ${words.join(' ')} failed: mend what it says above and run again`);
  }
}

/** @returns {never} */
export function fail(line) {
  console.error(`error: ${line}`);
  process.exit(1);
}
