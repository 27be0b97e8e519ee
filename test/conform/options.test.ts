/** Socket options whose scripts the running kernel passes, too (test/kernel/pkt.test.ts). */
import t from 'tap';
import { optionScripts } from './option-scripts.js';
import { SERVER, verdict } from './run.js';

for (const [name, text] of Object.entries(optionScripts))
  t.test(name, async (t) => {
    t.equal(await verdict(text, { profile: 'linux' }), '');
  });

const LINGER = `${SERVER}+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=1}, 8) = 0\n`;

t.test(
  'SO_LINGER on FreeBSD: in vain is EWOULDBLOCK, and who does not block does not wait (soclose)',
  async (t) => {
    const vain = (result: string): string => `${LINGER}+0...1 close(4) = ${result}
+0 > F. 1:1(0) ack 1`;
    const bsd = vain('-1 EAGAIN').replace('+0 > F', '+0~+1 > F');
    t.equal(await verdict(bsd, { profile: 'freebsd' }), '');
    t.equal(await verdict(vain('0').replace('+0 > F', '+0~+1 > F'), { profile: 'linux' }), '');
    const polite = `${LINGER}+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0
+0 close(4) = 0
+0 > F. 1:1(0) ack 1`;
    t.equal(await verdict(polite, { profile: 'freebsd' }), '');
  },
);
