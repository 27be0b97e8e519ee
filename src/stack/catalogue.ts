/** Lists for people: the policies and knobs that exist. */
import { policies as all } from '../timewait/policies/registry.js';

export interface PolicyRow {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  /** Knob values it presets. */
  readonly knobs: Readonly<Record<string, number>>;
}

export const policies: readonly PolicyRow[] = all.map(({ name, title, source, knobs }) => ({
  name,
  title,
  source,
  knobs: knobs ?? {},
}));

export { knobs, parseKnobSetting, type Knob } from './knobs.js';
