/** Adds numbers to a file of numbers, one change each. Arguments: the file, the first number, how many. */
const { existsSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { changeFile } = require(join(__dirname, '..', '..', 'dist', 'lib', 'change-file.js'));

const [path, first, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

(async () => {
  for (let number = first; number < first + count; number++) {
    await changeFile(path, async () => JSON.stringify([...(existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : []), number]));
  }
})();
