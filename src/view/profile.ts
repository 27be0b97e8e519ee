/** The page of a profile: what it reproduces, from where, with which settings, and what nobody has confirmed. */

export interface ProfileFacts {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  readonly aliases: readonly string[];
  readonly knobs: Readonly<Record<string, number>>;
  readonly uses: readonly string[];
  readonly unverified: readonly string[];
  readonly notes: readonly string[];
}

export interface KnobFacts {
  readonly name: string;
  readonly unit: string;
  readonly text: string;
}

/** Plain text for a terminal. */
export function formatProfile(profile: ProfileFacts, knobs: readonly KnobFacts[]): string {
  const lines = [`${profile.name}: ${profile.title}`];
  if (profile.aliases.length > 0) lines.push(`also called ${profile.aliases.join(', ')}`);
  lines.push(`source: ${profile.source}`, '', 'knobs it reads:');
  lines.push(
    ...profile.uses.map((name) => `  ${withUnit(name, profile.knobs[name], knobs)}: ${textOf(name, knobs)}`),
  );
  const preset = Object.entries(profile.knobs).filter(([name]) => !profile.uses.includes(name));
  if (preset.length > 0) {
    lines.push('', 'and sets:', ...preset.map(([name, value]) => `  ${withUnit(name, value, knobs)}`));
  }
  if (profile.unverified.length > 0)
    lines.push('', 'unverified:', ...profile.unverified.map((line) => `  - ${line}`));
  if (profile.notes.length > 0) lines.push('', 'notes:', ...profile.notes.map((line) => `  - ${line}`));
  return lines.join('\n');
}

/** A section of docs/profiles.md. */
export function profileMarkdown(profile: ProfileFacts, knobs: readonly KnobFacts[]): string {
  const parts = [`## ${profile.name}`, `${profile.title}.`];
  if (profile.aliases.length > 0)
    parts.push(`Also called ${profile.aliases.map((name) => `\`${name}\``).join(', ')}.`);
  parts.push(`Source: ${profile.source}.`);
  if (profile.uses.length > 0) {
    const rows = profile.uses.map(
      (name) => `- \`${withUnit(name, profile.knobs[name], knobs)}\`: ${textOf(name, knobs)}`,
    );
    parts.push(`Knobs it reads:\n\n${rows.join('\n')}`);
  }
  const preset = Object.entries(profile.knobs).filter(([name]) => !profile.uses.includes(name));
  if (preset.length > 0)
    parts.push(
      `It also sets ${preset.map(([name, value]) => `\`${withUnit(name, value, knobs)}\``).join(', ')}.`,
    );
  if (profile.unverified.length > 0)
    parts.push(`**Unverified:**\n\n${profile.unverified.map((line) => `- ${line}`).join('\n')}`);
  if (profile.notes.length > 0)
    parts.push(`Notes:\n\n${profile.notes.map((line) => `- ${line}`).join('\n')}`);
  return parts.join('\n\n');
}

function withUnit(name: string, value: number | undefined, knobs: readonly KnobFacts[]): string {
  if (value === undefined) return name;
  const unit = knobs.find((knob) => knob.name === name)?.unit ?? '';
  return unit === 's' || unit === 'ms' ? `${name}=${value} ${unit}` : `${name}=${value}`;
}

function textOf(name: string, knobs: readonly KnobFacts[]): string {
  return knobs.find((knob) => knob.name === name)?.text ?? '';
}
