/** Gives the reference engine a function among its data, prints what it says, and has nothing more to do. */
const { join } = require('node:path');
const { buildNetwork, openEngine } = require(join(__dirname, '..', '..', 'dist', 'lib', 'index.js'));

async function main() {
  const { engine } = await openEngine('reference');
  const program = await engine.compile(buildNetwork({ network: 'resunet', width: 2, levels: 2 }), { size: [8, 8] });
  const batch = { images: new Float32Array(4 * 64), targets: new Uint8Array(64), masks: new Uint8Array(3 * 64) };
  await program.gradients(batch, { kind: 'dice', reduction: 'mean', weigh: () => 1 });
}

main().catch(({ code, message }) => process.stdout.write(`${code} ${message}`));
