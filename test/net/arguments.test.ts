/** The overloads of connect and listen, as tables. */
import t from 'tap';
import { memoryLink } from '../../src/link/memory.js';
import {
  checkPort,
  checkTarget,
  connectArguments,
  familyOf,
  listenArguments,
} from '../../src/net/arguments.js';
import { createNetwork } from '../../src/net/network.js';

const done = (): void => {};

void t.test('connect', (t) => {
  const table: [unknown[], object, boolean][] = [
    [[80], { port: 80 }, false],
    [['80'], { port: '80' }, false],
    [[80, done], { port: 80 }, true],
    [[80, 'host'], { port: 80, host: 'host' }, false],
    [[80, 'host', done], { port: 80, host: 'host' }, true],
    [[{ port: 80, host: 'h' }], { port: 80, host: 'h' }, false],
    [[{ port: 80, host: 'h' }, done], { port: 80, host: 'h' }, true],
    [[{ port: 80, path: null }], { port: 80, path: null }, false],
  ];
  for (const [args, target, listener] of table) {
    const [got, callback] = connectArguments(args);
    t.same(got, target);
    t.equal(callback === done, listener);
  }
  for (const args of [['/tmp/socket'], [{ path: '/tmp/socket' }], [{ path: 'x', port: 1 }]]) {
    t.throws(() => connectArguments(args), { code: 'ERR_INVALID_ARG_VALUE', message: /TCP only/ });
  }
  t.throws(() => connectArguments([]), { code: 'ERR_MISSING_ARGS' });
  t.end();
});

void t.test('listen', (t) => {
  const table: [unknown[], object][] = [
    [[], {}],
    [[undefined], {}],
    [[null], {}],
    [[80], { port: 80 }],
    [['80'], { port: '80' }],
    [[80, 'host'], { port: 80, host: 'host' }],
    [[80, '10.0.0.1', 5], { port: 80, host: '10.0.0.1', backlog: 5 }],
    [[80, 5], { port: 80, backlog: 5 }],
    [[80, undefined, 5], { port: 80, backlog: 5 }],
    [[{ port: 80, host: 'h', exclusive: true }], { port: 80, host: 'h', exclusive: true }],
  ];
  for (const [args, target] of table) {
    t.same(listenArguments(args)[0], target);
    const [got, callback] = listenArguments([...args, done]);
    t.same(got, target);
    t.equal(callback, done);
  }
  for (const args of [['/tmp/socket'], [{ path: '/tmp/socket' }], [{ fd: 3 }], [{}]]) {
    t.throws(() => listenArguments(args), { code: 'ERR_INVALID_ARG_VALUE' });
  }
  t.throws(() => listenArguments([{ port: 80, reusePort: 'yes' }]), {
    code: 'ERR_INVALID_ARG_TYPE',
    message: /options\.reusePort" property must be of type boolean/,
  });
  t.throws(() => checkTarget({ port: 80, reusePort: 5 } as never), { message: /options\.reusePort/ });
  t.end();
});

void t.test('createNetwork: what is missing, misspelt or of another type is named', (t) => {
  const [link] = memoryLink({ capacity: 16 });
  const stack = { addresses: ['10.0.0.2/24'] };
  const table: [unknown, RegExp][] = [
    [undefined, /^The "options" argument must be an object with 'stack' and 'link'/],
    [{ stack }, /"options\.link" property must be a link/],
    [{ link }, /"options\.stack" property must be of type object/],
    [{ stack: {}, link }, /"options\.stack\.addresses" property must be an array of addresses/],
    [{ stack: { addresses: [] }, link }, /'options\.stack\.addresses' is empty/],
    [{ stack: { addresses: [7] }, link }, /"options\.stack\.addresses" property must be .* Received number/],
    [{ stack, link: {} }, /'options\.link' must be a link, .*; it has no receive\(\)/],
    [{ stack, link, polcy: 'bsd' }, /^unknown option 'options\.polcy', nearest: policy/],
    [{ stack, link, manual: 1 }, /"options\.manual" property must be of type boolean/],
  ];
  for (const [options, message] of table)
    t.throws(() => createNetwork(options as never), { name: 'TypeError', message });
  t.end();
});

void t.test('ports and families', (t) => {
  for (const port of [0, 1, 65535, '0', '443']) t.equal(checkPort(port, 'p'), Number(port));
  for (const port of [-1, 65536, 1.5, NaN, '', ' ', 'x', null, undefined, {}, true]) {
    t.throws(() => checkPort(port, 'p'), { code: 'ERR_SOCKET_BAD_PORT', name: 'RangeError' });
  }
  t.same(
    [familyOf(4), familyOf(6), familyOf(0), familyOf('IPv4'), familyOf('ipv6'), familyOf(undefined)],
    [4, 6, 0, 4, 6, 0],
  );
  t.end();
});
