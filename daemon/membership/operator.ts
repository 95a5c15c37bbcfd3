/** Asks the operator's own system, over HTTP, whether a subscriber may have a channel. */
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { request as secureRequest, Agent as TlsAgent } from 'node:https';
import { z } from 'zod';
import { describeError, SluiceError } from '../base/errors.js';
import type { MulticastChannel } from '../plane/contract-router.js';
import { leaseDuration } from './lease.js';
import type { AskConfig } from './settings.js';

/** A join that waits. */
export interface Question extends MulticastChannel {
  readonly subscriber: string;
  readonly interface: string;
  /** null: not known, as of an IGMP report without a source address. */
  readonly host: string | null;
}

const answerSchema = z.object({
  allow: z.boolean(),
  lease: leaseDuration.optional(),
  reason: z.string().max(200).optional(),
});

/** `lease`: absent for what the settings say. */
export type Answer = Readonly<z.output<typeof answerSchema>>;

/** Puts a question; one of these at a time is not waited for longer than the settings' timeout. */
export interface Operator {
  /** @throws SluiceError ASK_FAILED */
  ask(question: Question): Promise<Answer>;
  /** Ends what is under way. Idempotent. */
  close(): void;
}

const MOST_ANSWER_BYTES = 16_384;
/** Whoever answers so has understood the question. */
const REFUSALS = new Set([403, 404]);

/** The operator's system as `membership.ask` says; connections are kept, at most `max_in_flight`. */
export function httpOperator({ url, secret, timeout, max_in_flight }: AskConfig): Operator {
  const isTls = url.protocol === 'https:';
  const options = { keepAlive: true, maxSockets: max_in_flight };
  const agent = isTls ? new TlsAgent(options) : new PlainAgent(options);
  const fields: Readonly<Record<string, string>> = secret === undefined ? {} : { authorization: `Bearer ${secret}` };

  const exchange = (body: string): Promise<{ readonly status: number; readonly text: string }> =>
    new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        accept: 'application/json',
        ...fields,
      };
      const signal = AbortSignal.timeout(timeout);
      const sent = (isTls ? secureRequest : plainRequest)(
        url,
        { method: 'POST', agent, headers, signal },
        (response) => {
          textOf(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });

  return {
    ask: async ({ subscriber, interface: name, host, group, source }) => {
      const family = group.includes(':') ? 'ipv6' : 'ipv4';
      const body = JSON.stringify({ subscriber, interface: name, host, group, source, family });
      try {
        const { status, text } = await exchange(body);
        return answerOf(status, text);
      } catch (cause) {
        if (cause instanceof SluiceError) throw cause;
        const late = cause instanceof Error && cause.name === 'AbortError';
        throw failed(late ? `no answer within ${timeout} ms` : describeError(cause), cause);
      }
    },
    close: () => agent.destroy(),
  };
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_ANSWER_BYTES) throw failed(`the answer is larger than ${MOST_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function answerOf(status: number, text: string): Answer {
  if (REFUSALS.has(status)) return { allow: false, reason: `status ${status}` };
  if (status !== 200) throw failed(`it answered with status ${status}`);
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch (cause) {
    throw failed('its answer is not JSON', cause);
  }
  const { data, error } = answerSchema.safeParse(said);
  if (data === undefined) throw failed(`its answer is not as it should be: ${z.prettifyError(error)}`, error);
  return data;
}

function failed(why: string, cause?: unknown): SluiceError {
  return new SluiceError('ASK_FAILED', `asking the operator's system failed: ${why}`, {}, { cause });
}
