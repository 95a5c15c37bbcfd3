/** State that outlives the process: one JSON file, replaced as a whole, so that a process that is killed leaves the old or the new. */
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { describeError, SluiceError } from '../base/errors.js';

/** For one writer at a time. */
export class StateFile<T> {
  constructor(
    readonly path: string,
    private readonly schema: z.ZodType<T>,
  ) {}

  /**
   * What was written last; null before the first time. One that cannot be used is moved aside (`.damaged`), so that it can be looked at
   * and the next write does not end it.
   * @throws SluiceError STATE_DAMAGED, STATE_UNUSABLE
   */
  async read(): Promise<T | null> {
    const text = await readFile(this.path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw this.#unusable('cannot be read', error);
    });
    if (text === null) return null;
    const found = this.schema.safeParse(parse(text));
    if (found.success) return found.data;
    const aside = `${this.path}.damaged`;
    await rename(this.path, aside).catch((error: unknown) => {
      throw this.#unusable('cannot be moved aside', error);
    });
    const why = z.prettifyError(found.error).replaceAll(/\s*\n\s*/g, ', ');
    throw new SluiceError('STATE_DAMAGED', `${this.path} is not as it was written (${why}); it is ${aside} now`, {
      file: this.path,
      aside,
    });
  }

  /** @throws SluiceError STATE_UNUSABLE; what was there stays */
  async write(value: T): Promise<void> {
    const next = `${this.path}.new`;
    try {
      await mkdir(dirname(this.path), { recursive: true, mode: 0o750 });
      await within(open(next, 'w', 0o600), async (file) => {
        await file.writeFile(`${JSON.stringify(value)}\n`);
        await file.sync();
      });
      await rename(next, this.path);
      // The name is of the folder.
      await within(open(dirname(this.path)), (folder) => folder.sync());
    } catch (error) {
      throw this.#unusable('cannot be written', error);
    }
  }

  #unusable(what: string, cause: unknown): SluiceError {
    return new SluiceError(
      'STATE_UNUSABLE',
      `${this.path} ${what}: ${describeError(cause)}`,
      { file: this.path },
      { cause },
    );
  }
}

async function within(opening: Promise<FileHandle>, act: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await opening;
  try {
    await act(file);
  } finally {
    await file.close();
  }
}

/** undefined for what is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
