/** What the tests use of m3u8-parser, which ships no types. */
declare module 'm3u8-parser' {
  interface ParsedPart {
    uri: string;
    byterange?: { length: number; offset: number };
    independent?: boolean;
    gap?: boolean;
  }
  interface ParsedSegment {
    uri: string;
    duration: number;
    discontinuity?: boolean;
    timeline: number;
    parts?: ParsedPart[];
  }
  export class Parser {
    push(text: string): void;
    end(): void;
    readonly manifest: {
      targetDuration: number;
      mediaSequence: number;
      endList: boolean;
      playlistType: string;
      partTargetDuration?: number;
      segments: ParsedSegment[];
      preloadSegment?: { preloadHints: { type: string; uri: string }[] };
      renditionReports?: { uri: string; lastMsn?: number }[];
      playlists: {
        uri: string;
        attributes: { BANDWIDTH: number; RESOLUTION?: { width: number; height: number }; CODECS?: string };
      }[];
    };
  }
}
