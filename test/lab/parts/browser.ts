import { z } from 'zod';

/** A player on the page. */
export const browserCells = z.array(
  z.object({ player: z.enum(['hls.js', 'shaka']), url: z.string(), lowLatency: z.boolean() }),
);
export type BrowserCell = z.infer<typeof browserCells>[number];

const played = z.object({
  /** Of watching. */
  seconds: z.number(),
  /** Seconds of media that were played meanwhile. */
  advanced: z.number(),
  stalls: z.number(),
  frames: z.number(),
  dropped: z.number(),
  /** Different ones in what is seen at the end. */
  colours: z.number(),
  /** Seconds behind the encoder's clock, where the presentation tells its dates. */
  latency: z.number().nullable(),
});
export type BrowserPlayed = z.infer<typeof played>;

/** What `browser-players` prints. */
export const browserResult = z.object({ results: z.array(played.nullable()), errors: z.array(z.string()) });
