import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file of the status page, held in memory. */
export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Where the build puts the page: beside this module. */
export const PAGE_FOLDER = fileURLToPath(new URL('./page/', import.meta.url));

/** Reads the page, by path below the folder. Only these names are ever served, so that no path can lead elsewhere. */
export async function loadAssets(folder: string = PAGE_FOLDER): Promise<ReadonlyMap<string, Asset>> {
  const assets = new Map<string, Asset>();
  for (const entry of await readdir(folder, { recursive: true }).catch(() => [])) {
    const type = TYPES[extname(entry)];
    if (type === undefined) continue;
    const body = await readFile(join(folder, entry));
    assets.set(entry, { type, body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` });
  }
  return assets;
}
