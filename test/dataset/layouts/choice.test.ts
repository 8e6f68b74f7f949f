/** Which layout a folder has. */
import { join } from 'node:path';
import { openRecorded } from '../../../lib/dataset/record';
import { stringContaining } from '../support';
import { folder, grey, nnunet, openAt, root } from './support';

describe('layouts', () => {
  test('a folder of none says what was looked for, an unknown layout which there are', async () => {
    const error = (await openAt(folder({ 'notes.txt': 'nothing' })).catch((cause: unknown) => cause)) as Error;
    for (const name of ['brats', 'brats2023', 'nnunet', 'msd', 'manifest', 'png']) expect(error.message).toContain(`${name}: `);
    expect(error.message).not.toMatch(/\n/);
    await expect(openAt(folder(), { layout: 'bids' as never })).rejects.toMatchObject({
      code: 'ERR_TRACIN_USAGE',
      message: stringContaining('give one of auto, brats'),
    });
    await expect(openAt(folder(), { layout: 'png' })).rejects.toThrow('images: holds no CASE.png');
    await expect(openAt(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ERR_TRACIN_IO' });
  });

  test('several in one folder must be told apart', async () => {
    const dir = nnunet({ 'images/A.png': grey([1, 2, 3]) });
    await expect(openAt(dir)).rejects.toThrow(/may be laid out as nnunet or png: say which with layout$/);
    expect((await openAt(dir, { layout: 'nnunet' })).layout.name).toBe('nnunet');
  });

  test('a record opens the same slices again', async () => {
    const dir = nnunet();
    const first = await openAt(dir, { modalities: ['T1', 'FLAIR'], cases: ['A_1'] });
    const again = await openRecorded({ layout: 'nnunet', dir, modalities: ['T1', 'FLAIR'], cases: ['A_1'], size: [4, 3], slices: 'all' });
    expect(await again.fingerprint()).toBe(await first.fingerprint());
    const other = await openAt(dir, { cases: ['A_1'] });
    expect(await other.fingerprint()).not.toBe(await first.fingerprint());
    await again.close();
  });
});
