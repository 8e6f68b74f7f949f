/** Run in a process of its own: opens the CUDA library and tells what it finds, so that a broken driver breaks nobody else. */
import type { Addon } from './addon';
import type { CudaDevice, CudaStatus } from './cuda';
import { PRECISIONS, type Precision } from './engine';

function look(addonFile: string, library: string): CudaStatus {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const addon = require(addonFile) as Addon;
  addon.openCuda(library);
  const devices = Array.from({ length: addon.cudaDevices() }, (_, device): CudaDevice => {
    const choice = (precision: Precision) => ({ engine: 'cuda', threads: 1, device, precision }) as const;
    return {
      description: addon.describe(choice('f32')),
      missing: Object.fromEntries(PRECISIONS.map((name) => [name, addon.missing(choice(name))])) as CudaDevice['missing'],
    };
  });
  return { devices };
}

function tell(status: CudaStatus): void {
  // Ends at once: a driver's own end may hang or crash, and the answer is given.
  process.send!(status, () => process.exit(0));
}

const [addonFile = '', library = ''] = process.argv.slice(2);
try {
  tell(look(addonFile, library));
} catch (error) {
  tell({ reason: (error as Error).message });
}
