/** A process that writes to a file and never comes to its end: node written-child.js PATH; says so on stdout when it has begun. */
const { replaceFile } = require('../../dist/lib/files.js');

async function* endless() {
  yield Buffer.from('first');
  process.stdout.write('begun');
  await new Promise((done) => setInterval(done, 2 ** 30));
}
void replaceFile(process.argv[2], endless());
