// Runs in the page before its own scripts: writes down what comes in over WebRTC, the bot's messages
// and its sound, and when the page sends a text.
(() => {
  const LOUD = 0.01;
  const call = { messages: [], chunks: [], sampleRate: 0, loudAt: 0, failure: null };
  call.since = { at: 0, chunks: 0, messages: 0 }; // when the page last sent a text, or was opened
  window.call = call;

  async function listen(track) {
    const ahead = 1000; // chunks of 10 ms that may wait while the page is busy
    const processor = new MediaStreamTrackProcessor({ track, maxBufferSize: ahead });
    const reader = processor.readable.getReader();
    for (;;) {
      const { value: sound, done } = await reader.read();
      if (done) return;
      const samples = new Float32Array(sound.numberOfFrames);
      sound.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      call.sampleRate = sound.sampleRate;
      sound.close();
      const at = performance.now();
      const loud = samples.some((sample) => Math.abs(sample) > LOUD);
      if (loud) call.loudAt = at;
      call.chunks.push({ at, loud, samples });
    }
  }

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Connection {
    constructor(settings) {
      super({ ...settings, iceServers: [] }); // both are on this machine: nobody else is asked
      this.addEventListener('track', ({ track }) => {
        if (track.kind === 'audio') listen(track).catch((error) => (call.failure = String(error)));
      });
    }

    createDataChannel(...options) {
      const channel = super.createDataChannel(...options);
      const send = channel.send.bind(channel);
      channel.addEventListener('message', ({ data }) => {
        try {
          call.messages.push(JSON.parse(data));
        } catch {
          // "ping" and the like
        }
      });
      channel.send = (data) => {
        if (String(data).includes('"send-text"')) {
          const { chunks, messages } = call;
          call.since = { at: performance.now(), chunks: chunks.length, messages: messages.length };
        }
        send(data);
      };
      return channel;
    }
  };

  // Whether the bot has spoken since then, and has been quiet for so many milliseconds.
  call.hasSpoken = (quiet) => {
    if (call.failure) throw new Error(call.failure);
    if (!call.since) return false;
    const types = call.messages.slice(call.since.messages).map((message) => message.type);
    const began = types.indexOf('bot-started-speaking');
    return (
      began >= 0 &&
      types.lastIndexOf('bot-stopped-speaking') > began &&
      call.loudAt > call.since.at &&
      performance.now() - call.loudAt > quiet
    );
  };

  // What has been heard since then: PCM s16le in base64, and after how many milliseconds it began.
  call.heard = () => {
    const { since } = call;
    const chunks = call.chunks.slice(since.chunks);
    let bytes = '';
    for (const { samples } of chunks) {
      const pcm = Int16Array.from(samples, (sample) => Math.round(32767 * sample));
      bytes += String.fromCharCode(...new Uint8Array(pcm.buffer));
    }
    return {
      pcm: btoa(bytes),
      sampleRate: call.sampleRate,
      wait: chunks.find(({ loud }) => loud).at - since.at,
      messages: call.messages.slice(since.messages),
    };
  };
})();
