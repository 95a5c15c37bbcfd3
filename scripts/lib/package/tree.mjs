// A folder laid out as it is to be installed.
import { chmodSync, lutimesSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

export class Tree {
  /** Begins with an empty folder. */
  constructor(root) {
    this.root = root;
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true });
  }

  path(name) {
    return join(this.root, name);
  }

  /** Writes a file, and the folders above it. */
  put(name, content, mode = 0o644) {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), content);
    chmodSync(this.path(name), mode);
  }

  /** Writes a text compressed: without name and time, so that the same text gives the same file. */
  putZipped(name, text) {
    this.put(`${name}.gz`, gzipSync(text, { level: 9 }));
  }

  /** All files, in one order everywhere. */
  files() {
    const entries = readdirSync(this.root, { withFileTypes: true, recursive: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(this.root, join(entry.parentPath, entry.name)))
      .sort();
  }

  /** Of all files together, in KiB. */
  size() {
    return this.files().reduce((sum, name) => sum + Math.ceil(statSync(this.path(name)).size / 1024), 0);
  }

  /**
   * Gives everything the rights and the time that it is to have, whatever those of the checkout are.
   * @param {(name: string) => boolean} isProgram
   * @param {number} epoch seconds since 1970
   */
  settle(isProgram, epoch) {
    for (const name of this.files()) {
      chmodSync(this.path(name), isProgram(name) ? 0o755 : 0o644);
      lutimesSync(this.path(name), epoch, epoch);
    }
    const folders = readdirSync(this.root, { withFileTypes: true, recursive: true }).filter((one) => one.isDirectory());
    for (const folder of [this.root, ...folders.map((one) => join(one.parentPath, one.name))]) {
      chmodSync(folder, 0o755);
      lutimesSync(folder, epoch, epoch);
    }
  }
}
