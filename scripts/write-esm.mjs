/** The ES module face of the package: the names of dist/lib/index.js, each exported by name so that nothing else leaks. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Writes index.mjs and index.d.mts beside `folder`/index.js. */
export function writeEsm(folder) {
  const names = Object.keys(createRequire(import.meta.url)(join(folder, 'index.js')));
  writeFileSync(join(folder, 'index.mjs'), `export { ${names.join(', ')} } from './index.js';\n`);
  writeFileSync(join(folder, 'index.d.mts'), "export * from './index.js';\n");
}
