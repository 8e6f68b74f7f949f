/** Checks the layout of native/ with clang-format, or mends it with --write; without clang-format it says so and passes. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('../native', import.meta.url));
const files = readdirSync(native, { recursive: true }).filter((name) => /\.(?:cc|cpp|h|hpp|cu|cuh)$/.test(name));
const how = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
const { status, error } = spawnSync('clang-format', [...how, ...files.map((name) => join(native, name))], { stdio: 'inherit' });
if (error) console.error('clang-format is not installed: native/ was not checked');
process.exitCode = error ? 0 : status;
