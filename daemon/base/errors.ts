/**
 * Every error that Sluice reports to a person or to a program is a SluiceError: a stable code, a sentence that names
 * what was expected and what came, and the facts as data. `docs/errors.md` explains each code; a test ties the two.
 */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';

  /**
   * @param code stable, from {@link ErrorCode}; programs match on it
   * @param message one sentence for a person, without the code
   * @param details facts for programs (must survive JSON)
   */
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The stable codes; each has a section in `docs/errors.md`. */
export const ERROR_CODES = [
  'CONFIG_INVALID',
  'CONFIG_UNREADABLE',
  'RELOAD_NEEDS_RESTART',
  'RELOAD_UNAVAILABLE',
  'USAGE',
  'ADDON_MISSING',
  'ADDRESS_IN_USE',
  'ADDRESS_INVALID',
  'INTERFACE_UNKNOWN',
  'CPU_UNKNOWN',
  'LOOP_UNKNOWN',
  'MEMORY_BUDGET',
  'SYSTEM_CALL',
  'TLS_CERTIFICATE',
  'HANDLE_UNKNOWN',
  'MATCH_TAKEN',
  'LOOP_DIFFERS',
  'FLOWS_ATTACHED',
  'FLOW_DOWN',
  'FLOW_CYCLE',
  'ID_TAKEN',
  'IN_FILE',
  'STATE_DAMAGED',
  'STATE_UNUSABLE',
  'ASK_FAILED',
  'ROUTING_REFUSED',
  'ROUTING_TABLE_TAKEN',
  'ROUTING_UNSUPPORTED',
  'INTERFACE_LIMIT',
  'MEMBERSHIP_LIMIT',
  'KEEPER_UNREACHABLE',
  'KEEPER_FULL',
  'KEEPER_FOREIGN',
  'UPSTREAM_CONNECT',
  'UPSTREAM_TLS',
  'UPSTREAM_TIMEOUT',
  'UPSTREAM_CLOSED',
  'UPSTREAM_HTTP',
  'UPSTREAM_STATUS',
  'UPSTREAM_TOO_LARGE',
  'UPSTREAM_REDIRECTS',
  'UPSTREAM_ADDRESS_REFUSED',
  'UPSTREAM_ENCODING',
  'UPSTREAM_DECRYPT',
  'UPSTREAM_BUSY',
  'OBJECT_TOO_LARGE',
  'OBJECT_STORE_FULL',
  'PLAYLIST_INVALID',
  'MANIFEST_INVALID',
  'SOURCE_ENCRYPTED',
  'SOURCE_UNSUPPORTED',
  'SOURCE_NOT_MPEGTS',
  'SOURCE_PROGRAM_REQUIRED',
  'SOURCE_PROGRAM_MISSING',
  'SOURCE_NO_PCR',
  'SOURCE_STALLED',
  'SOURCE_ENDED',
  'CAPTURE_INVALID',
  'CAPTURE_EMPTY',
  'CAPTURE_LIMIT',
  'DAEMON_UNREACHABLE',
  'TOOL_MISSING',
  'REQUEST_INVALID',
  'REQUEST_REFUSED',
  'NOT_FOUND',
  'METHOD_NOT_ALLOWED',
  'INTERNAL',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Any thrown value as one line for a person: `CODE: message` for ours, the message for others. */
export function describeError(error: unknown): string {
  if (error instanceof SluiceError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
