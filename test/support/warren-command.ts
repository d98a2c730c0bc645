/** The command `warren` as a person runs it: arguments in, streams and exit code out. For one-shot commands and refusals. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const warrenMain = fileURLToPath(new URL('../../bin/warren.js', import.meta.url))

/** Longest time a command may take before it is killed, in milliseconds. */
const commandMsMax = 60_000

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCommand {
  readonly child: ChildProcess
  readonly result: Promise<CommandResult>
  /** Waits until stdout matches; rejects when the command ends before. */
  printed(pattern: RegExp): Promise<RegExpExecArray>
}

export interface CommandOptions {
  /** Its stdin; without it there is none. 'pipe': the test writes to `child.stdin`. */
  readonly input?: string | Uint8Array | 'pipe'
}

export function startWarren(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  { input }: CommandOptions = {},
): RunningCommand {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(WARREN_|NODE_TEST)/.test(name))
  // Several run side by side, and only one could have the usual port for HTTP.
  const env = { ...Object.fromEntries(inherited), WARREN_HTTP_PORT: 'none', ...environment }
  const stdin = input === undefined ? 'ignore' : 'pipe'
  const child = spawn(process.execPath, [warrenMain, ...args], { env, stdio: [stdin, 'pipe', 'pipe'] })
  // It may end before it has read everything.
  child.stdin?.on('error', () => undefined)
  if (input !== undefined && input !== 'pipe') child.stdin?.end(input)
  const output = { stdout: '', stderr: '' }
  const timer = setTimeout(() => child.kill('SIGKILL'), commandMsMax)
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  const result = new Promise<CommandResult>((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, ...output })
    })
  })
  const printed = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(output.stdout)
        if (match !== null) resolve(match)
      }
      child.stdout?.on('data', look)
      look()
      void result.then(({ code }) => reject(new Error(`ended with ${code}: ${output.stdout}${output.stderr}`)))
    })
  return { child, result, printed }
}

export function runWarren(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  options: CommandOptions = {},
): Promise<CommandResult> {
  return startWarren(args, environment, options).result
}
