import type { ChannelStatus, ViewerStatus, WhyAnswer } from '../streams/status.js';

/** Everything that the admin API knows about channels comes from here. */
export interface StatusSource {
  /** All configured channels, in the order of the configuration. Cheap: called once a second. */
  channels(): readonly ChannelStatus[];
  /** The continuous viewers connected now. */
  viewers(): Promise<readonly ViewerStatus[]>;
  /** Why the channel is as it is; undefined when there is none of that id. */
  why(id: string): WhyAnswer | undefined;
}
