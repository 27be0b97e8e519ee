/** ICMP errors by the names that scripts call them: RFC 792, RFC 1191, RFC 1812, RFC 4443. */

interface IcmpNames {
  readonly type: number;
  readonly codes: Readonly<Record<string, number>>;
}

const v4: Readonly<Record<string, IcmpNames>> = {
  unreachable: {
    type: 3,
    codes: {
      net_unreachable: 0,
      host_unreachable: 1,
      protocol_unreachable: 2,
      port_unreachable: 3,
      frag_needed: 4,
      source_route_failed: 5,
      net_unknown: 6,
      host_unknown: 7,
      source_host_isolated: 8,
      net_prohibited: 9,
      host_prohibited: 10,
      net_unreachable_for_tos: 11,
      host_unreachable_for_tos: 12,
      admin_prohibited: 13,
      packet_filtered: 13,
      host_precedence_violation: 14,
      precedence_violation: 14,
      precedence_cutoff: 15,
    },
  },
  source_quench: { type: 4, codes: {} },
  redirect: { type: 5, codes: { net: 0, host: 1, net_for_tos: 2, host_for_tos: 3 } },
  time_exceeded: {
    type: 11,
    codes: {
      ttl_exceeded: 0,
      ttl_exceeded_in_transit: 0,
      fragment_reassembly_time_exceeded: 1,
      frag_reass_exceeded: 1,
    },
  },
  parameter_problem: { type: 12, codes: { pointer: 0, missing_option: 1, bad_length: 2 } },
};

const v6: Readonly<Record<string, IcmpNames>> = {
  unreachable: {
    type: 1,
    codes: {
      no_route: 0,
      net_unreachable: 0,
      admin_prohibited: 1,
      not_neighbour: 2,
      beyond_scope: 2,
      address_unreachable: 3,
      host_unreachable: 3,
      port_unreachable: 4,
    },
  },
  packet_too_big: { type: 2, codes: {} },
  time_exceeded: {
    type: 3,
    codes: {
      exceed_hopcount: 0,
      hop_limit_exceeded: 0,
      exceeded_hop_limit: 0,
      exceed_fragment_reassembly_time: 1,
      exceeded_frag_time: 1,
    },
  },
  parameter_problem: { type: 4, codes: { header_field: 0, unknown_next_header: 1, unknown_option: 2 } },
};

/** A name of the tables, or `code_N`. */
export function isIcmpCode(word: string): boolean {
  return /^code_\d{1,3}$/.test(word) || icmpCodes.includes(word);
}

export const icmpTypes: readonly string[] = [...new Set([...Object.keys(v4), ...Object.keys(v6)])];
export const icmpCodes: readonly string[] = [
  ...new Set([v4, v6].flatMap((names) => Object.values(names).flatMap(({ codes }) => Object.keys(codes)))),
];

/**
 * Numbers on the wire, or null when this IP version has no such message. IPv4's frag_needed and
 * IPv6's packet_too_big are one thing to a script.
 */
export function icmpNumbers(
  type: string,
  code: string,
  version: number,
): { type: number; code: number } | null {
  if (version === 6 && type === 'unreachable' && code === 'frag_needed') return { type: 2, code: 0 };
  if (version === 4 && type === 'packet_too_big') return { type: 3, code: 4 };
  const names = (version === 4 ? v4 : v6)[type];
  if (names === undefined) return null;
  if (code === '') return { type: names.type, code: 0 };
  const number = /^code_\d{1,3}$/.test(code) ? Number(code.slice(5)) : names.codes[code];
  return number === undefined ? null : { type: names.type, code: number };
}
