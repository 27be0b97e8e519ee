/** How a conversation reaches each state: a server at 1:1, or a client where only a client can be. */
import type { Conversation } from './conversation.js';

export type Setup = (c: Conversation) => void;

const closed: Setup = () => undefined;
const listening: Setup = (c) => c.listen();
const synSent: Setup = (c) => c.connect();
const synReceived: Setup = (c) => {
  c.listen();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
};
/** SYN-RECEIVED with a user: both ends opened at once. */
const crossed: Setup = (c) => {
  c.connect();
  c.inject('S 0:0(0) win 65535 <mss 1460>');
};
const established: Setup = (c) => c.established();
const finWait1: Setup = (c) => {
  c.established();
  c.shutdown();
};
const finWait2: Setup = (c) => {
  finWait1(c);
  c.inject('. 1:1(0) ack 2 win 65535');
};
const closeWait: Setup = (c) => {
  c.established();
  c.inject('F. 1:1(0) ack 1 win 65535');
};
const closing: Setup = (c) => {
  finWait1(c);
  c.inject('F. 1:1(0) ack 1 win 65535');
};
const lastAck: Setup = (c) => {
  closeWait(c);
  c.shutdown();
};
const timeWait: Setup = (c) => {
  finWait2(c);
  c.inject('F. 1:1(0) ack 2 win 65535');
};

export const reach = {
  closed,
  listening,
  synSent,
  synReceived,
  crossed,
  established,
  finWait1,
  finWait2,
  closeWait,
  closing,
  lastAck,
  timeWait,
};
