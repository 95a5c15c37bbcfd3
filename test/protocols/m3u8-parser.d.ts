/** What the tests use of m3u8-parser, which ships no types. */
declare module 'm3u8-parser' {
  interface ParsedSegment {
    uri: string;
    duration: number;
    discontinuity?: boolean;
    timeline: number;
  }
  export class Parser {
    push(text: string): void;
    end(): void;
    readonly manifest: {
      targetDuration: number;
      mediaSequence: number;
      endList: boolean;
      playlistType: string;
      segments: ParsedSegment[];
      playlists: {
        uri: string;
        attributes: { BANDWIDTH: number; RESOLUTION?: { width: number; height: number }; CODECS?: string };
      }[];
    };
  }
}
