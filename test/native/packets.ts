/** Hand-made ICMP echo packets, and the plainest Internet checksum there is. */

/** RFC 1071 word by word: the oracle. */
export function naiveChecksum(bytes: Uint8Array, offset: number, length: number, initial: number): number {
  let total = initial;
  for (let i = 0; i < length; i += 2) {
    total += bytes[offset + i]! * 256 + (i + 1 < length ? bytes[offset + i + 1]! : 0);
  }
  while (total > 0xffff) total = (total % 65536) + Math.floor(total / 65536);
  return 0xffff - total;
}

/** An IPv4 echo request from `10.88.0.2` to `10.88.0.1` (the kernel), with `size` bytes of payload that depend on `sequence`. */
export function echoRequest(sequence: number, size: number): Uint8Array {
  const bytes = new Uint8Array(28 + size);
  const view = new DataView(bytes.buffer);
  bytes.set([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 88, 0, 2, 10, 88, 0, 1, 8, 0, 0, 0, 0x77, 0x77]);
  view.setUint16(2, bytes.length);
  view.setUint16(26, sequence);
  for (let i = 0; i < size; i++) bytes[28 + i] = (sequence + i * 7) & 255;
  view.setUint16(10, naiveChecksum(bytes, 0, 20, 0));
  view.setUint16(22, naiveChecksum(bytes, 20, bytes.length - 20, 0));
  return bytes;
}

/** The sequence number of an echo reply to one of ours, or -1 for any other packet (the kernel sends some of its own). */
export function replySequence(packet: Uint8Array): number {
  if (packet.length < 28 || packet[0] !== 0x45 || packet[9] !== 1 || packet[20] !== 0) return -1;
  return packet[26]! * 256 + packet[27]!;
}

/** Whether a packet is the kernel's answer to `echoRequest(sequence, size)`, to the last bit. */
export function isReply(packet: Uint8Array, sequence: number, size: number): boolean {
  const payload = echoRequest(sequence, size).subarray(28);
  return (
    replySequence(packet) === sequence &&
    packet.length === 28 + size &&
    naiveChecksum(packet, 0, 20, 0) === 0 &&
    naiveChecksum(packet, 20, packet.length - 20, 0) === 0 &&
    payload.every((byte, i) => packet[28 + i] === byte)
  );
}
