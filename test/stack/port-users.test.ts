import fc from 'fast-check';
import t from 'tap';
import { PortUsers } from '../../src/stack/port-users.js';
import { Tcb } from '../../src/tcp/tcb.js';

function listed(users: PortUsers, port: number): Tcb[] {
  const all: Tcb[] = [];
  for (let tcb = users.first(port); tcb !== null; tcb = tcb.behindOnPort) all.push(tcb);
  return all;
}

t.test('as a list for each port has it, in whatever order they go', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(20)), { maxLength: 60 }), (steps) => {
      const users = new PortUsers();
      const naive: Tcb[] = [];
      for (const [port, victim] of steps) {
        if (victim < naive.length) users.remove(naive.splice(victim, 1)[0]!);
        else {
          const tcb = new Tcb();
          tcb.localPort = port;
          users.add(tcb);
          naive.unshift(tcb);
        }
        for (let each = 0; each < 4; each++) {
          const wanted = naive.filter(({ localPort }) => localPort === each);
          const found = listed(users, each);
          if (users.has(each) !== wanted.length > 0 || found.length !== wanted.length) return false;
          if (found.some((tcb, i) => tcb !== wanted[i])) return false;
        }
      }
      return true;
    }),
  );
  t.pass();
});
