import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const described = z.object({ name: z.literal('sluice'), version: z.string() });

function find(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const above = dirname(folder);
  if (above === folder)
    throw new Error('sluice is not installed as a whole: there is no package.json above the program');
  return find(above);
}

/** The folder that holds package.json, config/, fixtures/ and scripts/. */
export const ROOT = find(dirname(fileURLToPath(import.meta.url)));

/** As in package.json. */
export const VERSION = described.parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))).version;
