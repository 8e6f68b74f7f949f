/** Before `npm start` and `npm test`: system packages, npm packages and the build, each only where it is missing or old. Plain Node. `--browser`: one to test pages with, too. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fail, install } from './system.mjs';

const root = new URL('..', import.meta.url);
const packagesIn = (file) => JSON.parse(readFileSync(new URL(file, root), 'utf8')).packages;

/** Whether node_modules holds the versions of package-lock.json (optional packages are for other platforms, too). */
function installed() {
  try {
    const present = packagesIn('node_modules/.package-lock.json');
    return Object.entries(packagesIn('package-lock.json')).every(
      ([path, { optional, version }]) => path === '' || optional || present[path]?.version === version,
    );
  } catch {
    return false;
  }
}

if (Number(process.versions.node.split('.')[0]) < 20) fail(`Node ${process.versions.node} is too old: install Node 20 or newer`);
install({ browser: process.argv.includes('--browser') });
if (!installed()) {
  // No package needs its install script; our own `prepare` would build out of sight.
  const { status } = spawnSync('npm', ['ci', '--include=dev', '--ignore-scripts'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (status !== 0) fail('npm ci failed: mend what it says above and run again');
}
await import('./build.mjs');
