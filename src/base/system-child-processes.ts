/**
 * Real child processes. What is unusual here is how a child is kept from outliving us, since Node cannot ask the system
 * for it (`PR_SET_PDEATHSIG`): a shell starts a watcher that reads from a pipe of which we hold the other end, and then
 * becomes the program. However this process ends, the system closes that end; the watcher sees it and ends the program,
 * which still has the process id of the shell. When the program ends first, the watcher is told so and goes.
 *
 * If the watcher is killed as well, the child lives on: whoever starts it writes down its id and `identity`, and looks
 * for it at the next start.
 */
import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import {
  type ChildCommand,
  type ChildEnd,
  type ChildEvents,
  type ChildProcess,
  type ChildProcesses,
  type ChildSignal,
  lineLengthMax,
  type ProgramOutput,
} from './child-processes.ts'

/** $1: seconds until an orphan is killed; $2: seconds from SIGUSR2 to SIGTERM, 0: only that; then the program and its arguments. */
const guardedStart = `
seconds=$1
farewell=$2
shift 2
exec 3<&0
(
  trap '' TERM INT HUP
  read -r word <&3 && exit
  if [ "$farewell" -gt 0 ]; then
    kill -USR2 $$
    sleep "$farewell"
  fi
  kill -TERM $$ || exit
  while [ "$seconds" -gt 0 ]; do
    sleep 1
    kill -0 $$ || exit
    seconds=$((seconds - 1))
  done
  kill -KILL $$
) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
`

const outputBytesMax = 64 * 1024

export class SystemChildProcesses implements ChildProcesses {
  start({ program, args, orphanMsMax, farewell }: ChildCommand, events: ChildEvents): ChildProcess {
    const seconds = [orphanMsMax, farewell?.ms ?? 0].map((ms) => String(Math.ceil(ms / 1_000)))
    // A session of its own: a Ctrl-C in the terminal is for us, and we end the child when its time has come.
    const child = spawn('/bin/sh', ['-c', guardedStart, 'sh', ...seconds, program, ...args], {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const { stdin, stdout, stderr } = child
    stdin.on('error', () => undefined)
    for (const stream of [stdout, stderr]) readLines(stream, (text) => events.line(text))
    let isEnded = false
    const end = (how: ChildEnd): void => {
      if (isEnded) return
      isEnded = true
      stdin.end('done\n')
      events.ended(how)
    }
    child.once('error', (error) => end({ code: null, signal: null, error }))
    child.once('exit', (code, signal) => end({ code, signal, error: null }))
    return {
      pid: child.pid ?? 0,
      signal: (name) => {
        if (!isEnded) child.kill(name)
      },
    }
  }

  run(program: string, args: readonly string[], msMax: number): Promise<ProgramOutput> {
    return new Promise((resolve, reject) => {
      const options = { timeout: msMax, maxBuffer: outputBytesMax, killSignal: 'SIGKILL' } as const
      execFile(program, args, options, (error, stdout, stderr) => {
        const text = stdout + stderr
        if (error === null) resolve({ code: 0, text })
        else if (typeof error.code === 'number') resolve({ code: error.code, text })
        else reject(error)
      })
    })
  }

  async identity(pid: number): Promise<string | null> {
    if (process.platform !== 'linux') return await this.#identityByPs(pid)
    try {
      const [stat, boot] = await Promise.all([
        readFile(`/proc/${pid}/stat`, 'utf8'),
        readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      ])
      // The second field is the name, in parentheses, with anything inside; the third is the state, the 22nd the start.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' ? null : `${boot.trim()} ${fields[19]}`
    } catch {
      return null
    }
  }

  async #identityByPs(pid: number): Promise<string | null> {
    const { text } = await this.run('ps', ['-o', 'lstart=', '-p', String(pid)], psMsMax)
    return text.trim() === '' ? null : text.trim()
  }

  signal(pid: number, name: ChildSignal): boolean {
    try {
      return process.kill(pid, name)
    } catch {
      return false
    }
  }
}

const psMsMax = 5_000

/** A longer line comes in its first part only. */
function readLines(stream: NodeJS.ReadableStream, line: (text: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = (lines.pop() ?? '').slice(0, lineLengthMax)
    for (const one of lines) line(one.slice(0, lineLengthMax))
  })
  stream.on('end', () => {
    if (rest !== '') line(rest)
  })
  stream.on('error', () => undefined)
}
