/**
 * Keeps what becomes of a child when this process ends (`OrphanRules`), which Node cannot ask the system for
 * (`PR_SET_PDEATHSIG`). A shell, the watcher, reads from a pipe of which we hold the other end: however this process ends,
 * the system closes it. The watcher then waits for the child's time to be over, and ends it.
 *
 * Invariant: it signals a process only when that began when the child began, so never one that has got its id since. A
 * watcher that ends before its time is replaced.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { OrphanRules } from './child-processes.ts'

/**
 * $1 process id, $2 its identity (empty: as it is now), $3 file of the claim (empty: none), $4 its text, then in seconds:
 * $5 life of an orphan, $6 from SIGUSR2 to SIGTERM (0: only that), $7 from SIGTERM to SIGKILL. `identity` prints what
 * `ChildProcesses.identity` finds.
 */
const script = `
trap '' TERM INT HUP USR1 USR2 PIPE
pid=$1 file=$3 text=$4 life=$5 farewell=$6 stop=$7
identity() {
  if [ -r /proc/self/stat ]; then
    read -r stat <"/proc/$pid/stat" || return
    read -r boot </proc/sys/kernel/random/boot_id
    set -- \${stat##*') '}
    [ "$1" = Z ] || echo "$boot \${20}"
  else
    set -- $(ps -o lstart= -p "$pid")
    echo "$*"
  fi
}
began=\${2:-$(identity)}
is_there() { [ -n "$began" ] && [ "$(identity)" = "$began" ]; }
is_claimed() { [ -n "$file" ] && read -r word <"$file" && [ "$word" != "$text" ]; }
tell() {
  if ! is_there || is_claimed; then exit 0; fi
  kill -"$1" "$pid"
}
read -r word && exit 0
while [ "$life" -gt 0 ] && { [ -z "$file" ] || [ -e "$file" ]; }; do
  if ! is_there || is_claimed; then exit 0; fi
  sleep 1
  life=$((life - 1))
done
if [ "$farewell" -gt 0 ]; then
  tell USR2
  sleep "$farewell"
fi
tell TERM
while [ "$stop" -gt 0 ]; do
  sleep 1
  is_there || exit 0
  stop=$((stop - 1))
done
tell KILL
`

/** Before a watcher that has ended is replaced, in milliseconds. */
const replaceMs = 1_000

export class OrphanWatch {
  readonly #args: readonly string[]
  #watcher: ChildProcess | null = null
  #timer: NodeJS.Timeout | null = null
  #isOver = false

  /** `identity` null: of the process that has the id now. `failed`: it cannot be watched; nothing is tried again. */
  constructor(pid: number, identity: string | null, rules: OrphanRules, failed: (error: Error) => void) {
    const seconds = [rules.lifeMs, rules.farewell?.ms ?? 0, rules.stopMsMax].map((ms) => String(Math.ceil(ms / 1_000)))
    const { path = '', text = '' } = rules.claim ?? {}
    this.#args = ['-c', script, 'watcher', String(pid), identity ?? '', path, text, ...seconds]
    this.#start(failed)
  }

  /** The child has ended, or is not to be started. */
  end(): void {
    this.#isOver = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#watcher?.stdin?.end('done\n')
  }

  #start(failed: (error: Error) => void): void {
    // A session of its own: what ends all processes of a terminal is not to end it.
    const watcher = spawn('/bin/sh', this.#args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    this.#watcher = watcher
    watcher.unref()
    watcher.stdin.on('error', () => undefined)
    watcher.once('error', failed)
    watcher.once('exit', () => this.#replace())
  }

  #replace(): void {
    if (this.#isOver) return
    this.#timer = setTimeout(() => this.#start(() => this.#replace()), replaceMs)
    this.#timer.unref()
  }
}
