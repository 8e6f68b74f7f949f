// Required before the command line: says on stderr, at the end, which commands' modules were loaded.
const { basename, dirname } = require('node:path');

process.on('exit', () => {
  const modules = Object.keys(require.cache).filter((file) => basename(dirname(file)) === 'commands');
  process.stderr.write(modules.map((file) => basename(file, '.js')).join(' '));
});
