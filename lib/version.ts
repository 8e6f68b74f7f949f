/** The version of this package, as its package.json says. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// Beside lib/ in a checkout's sources, one folder further up from dist/lib/.
const file = [join(__dirname, '..', 'package.json'), join(__dirname, '..', '..', 'package.json')].find((path) => existsSync(path))!;

export const VERSION = (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
