/** Carries out what shell.ts found in a shell line, on the target; hands what is left to a shell, if there is to be one. */
import { runPipeline } from './pipeline.js';
import type { RunOptions, Wrong } from './result.js';
import { readShell, type ShellAction } from './shell.js';
import type { Target } from './target.js';

type Shell = RunOptions['shell'];

/** null when every command succeeded. */
export async function playShell(
  text: string,
  target: Target,
  options: RunOptions,
  notes: string[],
): Promise<Wrong | null> {
  for (const action of readShell(text, options.include)) {
    const wrong = await play(action, target, options.shell, notes);
    if (wrong !== null) return wrong;
  }
  return null;
}

async function play(
  action: ShellAction,
  target: Target,
  shell: Shell,
  notes: string[],
): Promise<Wrong | null> {
  switch (action.kind) {
    case 'nothing':
      notes.push(action.note);
      return null;
    case 'set':
      return noted(await target.setting(action.name, action.value), notes);
    case 'device': {
      const message = await target.deviceCommand(action.words);
      if (message !== null) notes.push(message);
      return null;
    }
    case 'drop':
      return noted(await target.drop(action.state), notes);
    case 'ask': {
      const lines = await target.listing(action.pipeline.listing);
      if (lines === null) return foreign(action.command, shell);
      const { found } = runPipeline(action.pipeline, lines);
      if (found) return null;
      return { message: `'${action.command}' finds nothing`, got: lines.join('; ') };
    }
    case 'foreign':
      return foreign(action.command, shell);
  }
}

function noted(message: string | null, notes: string[]): null {
  if (message !== null) notes.push(`no effect here: ${message}`);
  return null;
}

async function foreign(command: string, shell: Shell): Promise<Wrong | null> {
  if (shell === undefined)
    return { message: `shell lines are not run without --allow-shell: '${command}'`, unusable: true };
  const { status, output } = await shell(command);
  return status === 0 ? null : { message: `'${command}' ended with status ${status}`, got: output.trim() };
}
