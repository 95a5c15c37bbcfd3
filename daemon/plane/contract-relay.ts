/** The boundary of groups that viewers ask for by their addresses: `/udp/239.1.1.1:5000` and `/rtp/239.1.1.1:5000`. */

/** One line of what is allowed. */
export interface RelayRule {
  /** `10.1.0.0/16`: only groups with a source in it; null: any source, or none. */
  readonly source: string | null;
  /** `239.0.0.0/8`, `ff3e::/32`, or a single address. */
  readonly address: string;
  readonly firstPort: number;
  readonly lastPort: number;
}

/** What the plane answers by itself. */
export interface RelayOptions {
  readonly allow: readonly RelayRule[];
  /** Groups at once, 1 to 1,000; the one that nobody has watched for the longest time gives way to another. */
  readonly mostGroups: number;
  /** A group that gives nothing for so long ends; a viewer waits no longer for something to begin with. */
  readonly waitMs: number;
  /** A group is kept for so long after its last viewer has gone. */
  readonly holdMs: number;
}

/** The group that the events and verbs are about: `[SOURCE@]ADDRESS:PORT`, always written alike. */
export type RelayGroup = string & { readonly __kind: 'relay' };

/** `forbidden`: no longer allowed. */
export type RelayEnd = 'idle' | 'silent' | 'forbidden';
