/** `warren completion`: a script for the shell, made from what the commands really take. */
import type { Command } from 'commander'
import { misuse } from '../client/command-failure.ts'
import { type CompletedCommand, completionScript, shells } from '../client/completion-script.ts'
import { type Run, run } from '../client/run.ts'
import { isClientCommand, loadCommand } from '../command-table.ts'
import { ExitCode } from '../exit-code.ts'

export function configure(command: Command): void {
  command.argument('<shell>', shells.join(', '))
  command.addHelpText('after', examples)
  command.action((shell: string) => run((context) => completion(shell, command, context)))
}

const examples = `
Examples:
  source <(warren completion bash)                                     in ~/.bashrc
  source <(warren completion zsh)                                      in ~/.zshrc, after compinit
  warren completion fish > ~/.config/fish/completions/warren.fish`

async function completion(name: string, command: Command, { printer }: Run): Promise<ExitCode> {
  const shell = shells.find((one) => one === name)
  if (shell === undefined) throw misuse(`there is no completion for '${name}'; give ${shells.join(', ')}`)
  const root = command.parent
  if (root === null) throw misuse('completion is a command of warren')
  for (const one of root.commands) {
    if (one !== command && isClientCommand(one.name())) (await loadCommand(one.name() as 'publish')).configure(one)
  }
  printer.write(completionScript(shell, [...described(root, '')]))
  return ExitCode.done
}

function* described(command: Command, path: string): Generator<CompletedCommand> {
  yield {
    path,
    about: command.description(),
    options: command.options.flatMap(({ long, description, required, optional }) =>
      typeof long === 'string' ? [{ flag: long, about: firstPart(description), hasValue: required || optional }] : [],
    ),
    subcommands: command.commands.map((one) => one.name()),
  }
  for (const one of command.commands) yield* described(one, path === '' ? one.name() : `${path} ${one.name()}`)
}

/** Shells show little; what stands in brackets or behind a period is for the help. */
function firstPart(text: string): string {
  return text.split(/[.;(]/)[0]?.trim() ?? text
}
