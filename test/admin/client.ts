import { type IncomingHttpHeaders, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Unix socket instead of the host of the URL. */
  readonly socketPath?: string;
}

/** One request over node's own client, which lets a test set Host, Origin and bad bodies, as fetch does not. */
export function ask(url: string, { method = 'GET', headers = {}, body, socketPath }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const where = socketPath === undefined ? {} : { socketPath };
    const outgoing = request(url, { method, headers, agent: false, timeout: 5000, ...where }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        });
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** The JSON body of an answer, taken for what the caller expects. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export function json<T>({ text }: Answer): T {
  return JSON.parse(text) as T;
}

/** Polls until the check holds; rejects with what it was waiting for after `limitMs`. */
export async function until(what: string, check: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
