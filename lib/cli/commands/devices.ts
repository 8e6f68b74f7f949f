import type { Command } from 'commander';
import { listDevices } from '../../engine';
import { listProviders } from '../../inference/providers';
import { example } from '../context';
import { table } from '../table';

export function addDevices(program: Command): void {
  program
    .command('devices')
    .summary('list engines and providers here, and why any is missing')
    .description('Lists the engines that compute gradients and the providers that run predictions, and why any is missing here.')
    .option('--json', 'machine-readable')
    .addHelpText('after', example('tracin-seg devices'))
    .action(async ({ json }: { json?: true }) => {
      const [engines, providers] = await Promise.all([listDevices(), listProviders()]);
      if (json) {
        process.stdout.write(`${JSON.stringify({ engines, providers }, null, 1)}\n`);
        return;
      }
      const rows = (device: (typeof engines)[number] | (typeof providers)[number]): string[] => {
        const words = device.available ? device.description : device.reason;
        return [
          device.name,
          device.available ? 'yes' : 'no',
          words.startsWith(`${device.name}: `) ? words.slice(device.name.length + 2) : words,
        ];
      };
      process.stdout.write(`engines (--device)\n${table(engines.map(rows))}\nproviders (--provider)\n${table(providers.map(rows))}`);
    });
}
