const TEXT = 1;

/** Reads the texts that one side sends on a WebSocket out of the bytes that pass by. */
export class FrameReader {
  #bytes = Buffer.alloc(0);

  /** The texts that are complete now. */
  push(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const texts = [];
    for (let frame = this.#next(); frame; frame = this.#next()) {
      // The clients under test and the server send each text in one frame.
      if (frame.opcode === TEXT) texts.push(frame.payload.toString());
    }
    return texts;
  }

  #next() {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1] & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    const isMasked = bytes[1] >= 0x80;
    const start = 2 + lengthBytes + (isMasked ? 4 : 0);
    if (bytes.length < start) return undefined;
    const length = lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short;
    if (bytes.length < start + length) return undefined;
    const payload = Buffer.from(bytes.subarray(start, start + length));
    if (isMasked) {
      for (let index = 0; index < length; index++) payload[index] ^= bytes[start - 4 + (index % 4)];
    }
    this.#bytes = bytes.subarray(start + length);
    return { opcode: bytes[0] & 0x0f, payload };
  }
}
