/** Completion scripts, made from the commands and options there are. */

export interface CompletedCommand {
  /** Words after `warren`, for example 'declare queue'. */
  readonly path: string
  readonly about: string
  /** Long flags with `--`, and whether a value follows. */
  readonly options: readonly { readonly flag: string; readonly about: string; readonly hasValue: boolean }[]
  readonly subcommands: readonly string[]
}

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** The command with path '' is `warren` itself. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return zsh(commands)
    case 'fish':
      return fish(commands)
  }
}

function wordsOf({ subcommands, options }: CompletedCommand): string {
  return [...subcommands, ...options.map(({ flag }) => flag), '--help'].join(' ')
}

/** The path is the leading words that are no options, as long as they are known together. */
function bash(commands: readonly CompletedCommand[]): string {
  const cases = commands.map((command) => `    '${command.path}') words='${wordsOf(command)}' ;;`)
  const valued = new Set(
    commands.flatMap(({ options }) => options.filter((one) => one.hasValue).map(({ flag }) => flag)),
  )
  const paths = commands.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`)
  return `# bash completion of warren; load it with: source <(warren completion bash)
_warren() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' next words='' index
  case "$previous" in
    ${[...valued].sort().join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for ((index = 1; index < COMP_CWORD; index++)); do
    next="\${path:+$path }\${COMP_WORDS[index]}"
    case "$next" in
      ${paths.join('|')}) path="$next" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _warren warren
`
}

function zsh(commands: readonly CompletedCommand[]): string {
  const described = (word: string, about: string): string => zshQuoted(`${word}:${about.replaceAll(':', '\\:')}`)
  const cases = commands.map((command) => {
    const entries = [
      ...command.subcommands.map((name) => described(name, aboutOf(commands, command.path, name))),
      ...command.options.map(({ flag, about }) => described(flag, about)),
      described('--help', 'how it is used'),
    ]
    return `    '${command.path}') entries=(${entries.join(' ')}) ;;`
  })
  const paths = commands.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`)
  return `#compdef warren
# zsh completion of warren; load it with: source <(warren completion zsh)
_warren() {
  local pathed='' next index
  local -a entries
  for ((index = 2; index < CURRENT; index++)); do
    next="\${pathed:+$pathed }\${words[index]}"
    case "$next" in
      ${paths.join('|')}) pathed="$next" ;;
    esac
  done
  case "$pathed" in
${cases.join('\n')}
  esac
  _describe 'warren' entries || _files
}
compdef _warren warren
`
}

function fish(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap((command) => {
    const words = command.path === '' ? [] : command.path.split(' ')
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`)
    const unseen =
      command.subcommands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${command.subcommands.join(' ')}`]
    const condition = fishQuoted([...seen, ...unseen].join('; and '))
    return [
      ...command.subcommands.map(
        (name) =>
          `complete -c warren -f -n ${condition} -a ${name} -d ${fishQuoted(aboutOf(commands, command.path, name))}`,
      ),
      ...command.options.map(
        ({ flag, about, hasValue }) =>
          `complete -c warren -n ${condition} -l ${flag.slice(2)}${hasValue ? ' -r' : ''} -d ${fishQuoted(about)}`,
      ),
    ]
  })
  return `# fish completion of warren; load it with: warren completion fish | source\n${lines.join('\n')}\n`
}

function aboutOf(commands: readonly CompletedCommand[], path: string, name: string): string {
  const full = path === '' ? name : `${path} ${name}`
  return commands.find((command) => command.path === full)?.about ?? ''
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
