// What HlsMachine is told, and what it says is to be done.
import type { SluiceError } from '../../base/errors.js';
import type { SegmentSeal } from '../../plane/contract.js';

export interface HlsOptions {
  /** The configured URL: a master or a media playlist. */
  readonly url: string;
  /** Bits a second, or null. */
  readonly maxBandwidth: number | null;
  /** The stream had other media before: the first segment begins a new timeline. */
  readonly spliced: boolean;
  /** A playlist that no longer changes is a failure (there are other URLs), not only a state. */
  readonly failOnStall: boolean;
}

/** What to do next; exactly one thing is under way at a time. */
export type HlsAction =
  | { readonly do: 'playlist'; readonly url: string }
  /** The key that the next segment needs. */
  | { readonly do: 'key'; readonly url: string }
  | {
      readonly do: 'segment';
      readonly url: string;
      readonly sequence: number;
      /** Bytes to ask for, both included; `to` null is the end. Null asks for the whole resource. */
      readonly range: { readonly from: number; readonly to: number | null } | null;
      /** Bytes that an earlier attempt has put into the ring, to be dropped when the server ignores the range. */
      readonly skipBytes: number;
      readonly discontinuity: boolean;
      /** Asked for whole whatever was taken before; its `skipBytes` are clear ones. */
      readonly seal: SegmentSeal | null;
    }
  | { readonly do: 'wait'; readonly untilMs: number }
  | { readonly do: 'fail'; readonly error: SluiceError };

/** What has happened. */
export type HlsMessage =
  /** A 2xx answer to `playlist`; `url` after redirects. */
  | { readonly type: 'playlist'; readonly url: string; readonly body: Uint8Array }
  | { readonly type: 'playlist-failed'; readonly error: SluiceError }
  /** An answer to `key` of any status that is not a redirect; the body of 2xx. */
  | { readonly type: 'key'; readonly status: number; readonly body: Uint8Array }
  | { readonly type: 'key-failed'; readonly error: SluiceError }
  /** An answer to `segment` of any status that is not a redirect. `taken`: body bytes in the ring from this attempt. */
  | { readonly type: 'segment'; readonly status: number; readonly taken: number }
  | { readonly type: 'segment-failed'; readonly error: SluiceError; readonly taken: number };

/** The buffer between what has arrived and what departs. */
export interface BufferLevel {
  readonly bufferedMs: number;
  /** The ring has no room for much more that has not departed. */
  readonly full: boolean;
}
