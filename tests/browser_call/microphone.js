// Stands before the page's module of the WebRTC transport, which is at REAL. By itself the transport
// has Daily's library open the microphone, and that fetches a part of itself from c.daily.co; here
// the browser opens it. `mediaManager` is the transport's own option for that.
import * as real from 'REAL';

class Microphone {
  supportsScreenShare = false;
  isSharingScreen = false;
  isCamEnabled = false;
  selectedCam = {};
  selectedSpeaker = {};
  #track = null;

  setClientOptions({ callbacks = {} }) {
    this.callbacks = callbacks;
  }
  async initialize() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    this.#track = stream.getAudioTracks()[0];
    this.callbacks.onTrackStarted?.(this.#track, { id: 'caller', local: true, name: '' });
  }
  async connect() {
    if (!this.#track) await this.initialize();
  }
  async disconnect() {
    this.#track?.stop();
    this.#track = null;
  }
  get selectedMic() {
    return {};
  }
  get isMicEnabled() {
    return Boolean(this.#track?.enabled);
  }
  enableMic(on) {
    if (this.#track) this.#track.enabled = on;
  }
  tracks() {
    return { local: { audio: this.#track ?? undefined } };
  }
  async getAllMics() {
    return [];
  }
  async getAllCams() {
    return [];
  }
  async getAllSpeakers() {
    return [];
  }
  setUserAudioCallback() {}
  updateMic() {}
  updateCam() {}
  updateSpeaker() {}
  enableCam() {}
  enableScreenShare() {}
}

export class SmallWebRTCTransport extends real.SmallWebRTCTransport {
  constructor(options) {
    super({ ...options, mediaManager: new Microphone() });
  }
}
