/** Tests run the TypeScript sources; worker threads and the addon come from the last `npm run build`. */
const { tmpdir } = require('node:os');
const { join } = require('node:path');

// As lib/engine/addon.ts does; a test's own process.env is a copy that the OpenMP library never sees.
process.env.GOMP_SPINCOUNT ??= '1000';
// What is remembered of this machine stays out of the user's own folder.
process.env.XDG_CACHE_HOME = join(tmpdir(), 'tracin-test-cache');

module.exports = {
  testEnvironment: './test/support/environment.js',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/', ...(process.env.TRACIN_SLOW ? [] : ['\\.slow\\.test\\.ts$'])],
  transform: {
    '^.+\\.[jt]s$': ['@swc/jest', { jsc: { target: 'es2023', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } }],
  },
  // ESM-only dependencies are turned into CommonJS like our own sources.
  transformIgnorePatterns: [
    '/node_modules/(?!(nifti-reader-js|fast-check|pure-rand|fast-png|iobuffer|hyparquet-writer|hyparquet|d3-[a-z-]+|internmap)/)',
  ],
  // Their package.json offers ES modules only, which jest's resolver does not take for CommonJS.
  moduleNameMapper: {
    '^nifti-reader-js$': '<rootDir>/node_modules/nifti-reader-js/dist/nifti.js',
    '^(d3-[a-z-]+|internmap)$': '<rootDir>/node_modules/$1/dist/$1.js',
  },
  testTimeout: 60_000,
  maxWorkers: 2,
  reporters: ['default', './test/support/closing-line.js'],
};
