/**
 * The cuda engine's sources as plain C++: `node rewrite.mjs FROM TO` copies native/ (core and cuda), turns `kernel<<<grid, block, …>>>(…)`
 * into a call and `extern __shared__ T name[]` into a pointer to the launch's, and puts this folder's tensor_cores.cuh in place of the one in
 * PTX. What did not change keeps its time.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [from, to] = process.argv.slice(2);
const replaced = join('cuda', 'tensor_cores.cuh');

/** Where the parenthesis that opens at `start` closes. */
function closing(text, start) {
  let depth = 0;
  for (let i = start; i < text.length; ++i) {
    if (text[i] === '(') ++depth;
    else if (text[i] === ')' && --depth === 0) return i;
  }
  throw new Error('a launch is not closed');
}

function rewritten(text) {
  text = text.replace(
    /extern __shared__ (?:__align__\(\d+\) )?(\w+) (\w+)\[\];/g,
    '$1* const $2 = static_cast<$1*>(::emulated::dynamicShared());',
  );
  const launch = /([A-Za-z_]\w*(?:<[^<>;(){}]*>)?)\s*<<<([^;]*?)>>>\s*\(/;
  for (;;) {
    const found = launch.exec(text);
    if (!found) break;
    const open = found.index + found[0].length - 1;
    const end = closing(text, open);
    const call = `::emulated::start([=](const auto&... a) { ${found[1]}(a...); }, ::emulated::Shape(${found[2]}))(${text.slice(open + 1, end)})`;
    text = text.slice(0, found.index) + call + text.slice(end + 1);
  }
  if (text.includes('<<<') && text.includes('>>>')) throw new Error('a launch is written in a way that is not known here');
  return text;
}

function copy(folder) {
  mkdirSync(join(to, folder), { recursive: true });
  for (const name of readdirSync(join(from, folder))) {
    const path = join(folder, name);
    if (statSync(join(from, path)).isDirectory()) copy(path);
    else if (/\.(h|cc|cu|cuh)$/.test(name)) {
      const source = path === replaced ? fileURLToPath(new URL('tensor_cores.cuh', import.meta.url)) : join(from, path);
      const text = rewritten(readFileSync(source, 'utf8'));
      const target = join(to, path.replace(/\.cu$/, '.cu.cc'));
      if (!statSync(target, { throwIfNoEntry: false }) || readFileSync(target, 'utf8') !== text) writeFileSync(target, text);
    }
  }
}

copy('core');
copy('cuda');
