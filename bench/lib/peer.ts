import { accessSync, constants } from 'node:fs';
import { which } from '../../test/lab/lib/tools.js';
import { Absent } from './bench.js';

/**
 * Where a peer that Debian does not have is: `SLUICE_PEER_NAME=PATH`, else on PATH.
 * @param name as people write it: `msd_lite`
 * @throws {Absent} with what to do
 */
export function peerPath(name: string): string {
  const variable = `SLUICE_PEER_${name.toUpperCase().replaceAll('-', '_')}`;
  const path = process.env[variable] ?? which(name);
  if (path === undefined) throw new Absent(`not installed (it is not in Debian); give its path by ${variable}=PATH`);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Absent(`${variable}=${path} is not a program`);
  }
  return path;
}
