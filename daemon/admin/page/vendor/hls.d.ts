export type * from 'hls.js';
export { default } from 'hls.js';
