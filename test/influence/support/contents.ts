import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Every file under a folder by its path, as text of its bytes. */
export async function contents(dir: string): Promise<Record<string, string>> {
  const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  const texts = await Promise.all(
    paths.map(async (path): Promise<[string, string]> => [path.slice(dir.length), await readFile(path, 'latin1')]),
  );
  return Object.fromEntries(texts);
}
