import { attribute, text } from './dom.js';
import Hls from './vendor/hls.js';

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 8000;

/** The elements that a player works with. */
export interface PlayerElements {
  readonly video: HTMLVideoElement;
  /** Lies over the picture and says why there is none. */
  readonly veil: HTMLElement;
  readonly title: HTMLElement;
  readonly reason: HTMLElement;
  /** What is being shown: resolution, rate, distance to the live edge. */
  readonly facts: HTMLElement;
}

/** Plays one channel's HLS, muted, and begins again by itself after whatever went wrong. */
export class Player {
  #hls: Hls | undefined;
  #url = '';
  #failures = 0;
  #isNative = false;
  #timer = 0;
  #noSignal: string | null = null;

  constructor(private readonly elements: PlayerElements) {
    elements.video.addEventListener('playing', () => this.#playing());
    elements.video.addEventListener('error', () => this.#failNatively());
    elements.video.addEventListener('waiting', () => this.#say('Buffering', this.#noSignal ?? ''));
    window.setInterval(() => this.#tellFacts(), 1000);
  }

  /** Plays this master playlist; the one that is played already goes on undisturbed. */
  play(url: string): void {
    if (url === this.#url) return;
    this.#url = url;
    this.#failures = 0;
    this.#start();
  }

  /** Why the daemon has no picture to give, or null when it has one. */
  signal(reason: string | null): void {
    const back = this.#noSignal !== null && reason === null;
    this.#noSignal = reason;
    attribute(this.elements.veil, 'data-state', reason === null ? 'wait' : 'bad');
    if (reason !== null && this.elements.video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA)
      this.#say('No signal', reason);
    if (back && !this.elements.veil.hidden) this.#start();
  }

  /** Begins anew at the live edge. */
  restart(): void {
    this.#failures = 0;
    this.#start();
  }

  #start(): void {
    window.clearTimeout(this.#timer);
    this.#hls?.destroy();
    this.#hls = undefined;
    if (this.#url === '') return;
    // While it is tried again, the reason of the last failure stays.
    if (this.#noSignal !== null) this.#say('No signal', this.#noSignal);
    else if (this.#failures === 0) this.#say('Connecting', this.#url);
    if (!Hls.isSupported()) {
      this.#native();
      return;
    }
    const hls = new Hls({
      workerPath: new URL('./vendor/hls.worker.js', import.meta.url).href,
      liveDurationInfinity: true,
      backBufferLength: 20,
      maxBufferLength: 20,
    });
    this.#hls = hls;
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.#run());
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (!data.fatal) return;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.#failures++ < 2) hls.recoverMediaError();
      else this.#fail(data.response?.code ? `${data.details}: HTTP ${data.response.code}` : data.details);
    });
    hls.loadSource(this.#url);
    hls.attachMedia(this.elements.video);
  }

  /** Safari plays HLS itself where it has no Media Source Extensions. */
  #native(): void {
    const { video } = this.elements;
    if (video.canPlayType('application/vnd.apple.mpegurl') === '') {
      this.#say('Cannot play', 'this browser has neither Media Source Extensions nor HLS');
      return;
    }
    this.#isNative = true;
    video.src = this.#url;
    this.#run();
  }

  /** Errors of the element are hls.js's own business where that plays. */
  #failNatively(): void {
    if (this.#isNative) this.#fail(this.elements.video.error?.message ?? 'the browser gave up');
  }

  #run(): void {
    this.elements.video
      .play()
      .catch((error: unknown) => this.#say('Paused', `the browser did not start: ${String(error)}`));
  }

  #fail(reason: string): void {
    this.#hls?.destroy();
    this.#hls = undefined;
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
    if (this.#noSignal === null) this.#say('Trying again', reason);
    else this.#say('No signal', this.#noSignal);
    this.#timer = window.setTimeout(() => this.#start(), wait);
  }

  #playing(): void {
    this.#failures = 0;
    this.elements.veil.hidden = true;
  }

  #say(title: string, reason: string): void {
    text(this.elements.title, title);
    text(this.elements.reason, reason);
    this.elements.veil.hidden = false;
  }

  #tellFacts(): void {
    const { video, facts } = this.elements;
    if (video.videoWidth === 0 || !this.elements.veil.hidden) {
      text(facts, '–');
      return;
    }
    const latency = this.#hls?.latency ?? 0;
    const behind = latency > 0 ? ` · ${latency.toFixed(1)} s behind live` : '';
    text(facts, `${video.videoWidth} × ${video.videoHeight}${behind}`);
  }
}
