/** From cells to four numbers per profile. The formulas stand in docs/hazards.md as well. */
import type { Axis, Hazard } from './hazard.js';
import type { Cell } from './suite.js';

export const axes: readonly Axis[] = ['integrity', 'availability', 'capacity', 'memory'];

/** What a score is, for the page. */
export const scoreText: Readonly<Record<Axis, string>> = {
  integrity:
    'share of the integrity hazards that are safe; at the limit of the table the share of connections that are protected counts',
  availability:
    'mean over the hazards: 1 when safe or late by at most 0.1 s, falling with the logarithm of the delay to 0 at 240 s; 0 when refused for as long as the run watched, ½ when only the session is lost, and the share that got through where several tried',
  capacity:
    'mean over the hazards of the rate reached, divided by what counts as enough: 1,000/s for a client, 700/s for a server behind a balancer',
  memory: '1 up to 60,000 records at 1,000 closings a second, then in inverse proportion',
};

export interface Score {
  readonly profile: string;
  /** 0..100; null: no hazard of that axis was played. */
  readonly points: Readonly<Record<Axis, number | null>>;
}

export function scoreOf(profile: string, cells: readonly Cell[], hazards: readonly Hazard[]): Score {
  const points: Record<Axis, number | null> = {
    integrity: null,
    availability: null,
    capacity: null,
    memory: null,
  };
  for (const axis of axes) {
    const names = new Set(hazards.filter((hazard) => hazard.axis === axis).map(({ name }) => name));
    const counted = cells.filter((cell) => cell.profile === profile && names.has(cell.hazard));
    const sum = counted.reduce((total, cell) => total + cell.points, 0);
    if (counted.length > 0) points[axis] = Math.round((100 * sum) / counted.length);
  }
  return { profile, points };
}
