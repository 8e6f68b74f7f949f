const { TestEnvironment } = require('jest-environment-node');

/**
 * Jest runs each test file in a realm of its own, so a Float32Array made by an addon, a worker or node:fs fails
 * `instanceof Float32Array` there. Sharing the outer realm's constructors mends that for the types that cross over.
 */
const SHARED = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Promise',
  'Error',
  'TypeError',
  'RangeError',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int8Array',
  'Uint16Array',
  'Int16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
];

module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    for (const name of SHARED) this.global[name] = globalThis[name];
  }
};
