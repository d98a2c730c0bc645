/** Other programs as the program sees them. `system-child-processes.ts` starts real ones; tests have some that do as told. */

export interface ChildCommand {
  /** Path, or a name that is looked for on the PATH. */
  readonly program: string
  readonly args: readonly string[]
  /** Beside what this process has in its own; what is set there already is left. */
  readonly environment?: Readonly<Record<string, string>>
  readonly orphan: OrphanRules
}

/**
 * What becomes of a child that outlives this process, however that ended. For `lifeMs` it goes on; then it is sent `farewell`
 * if there is one, SIGTERM, and SIGKILL when it has not ended `stopMsMax` later.
 */
export interface OrphanRules {
  /** In milliseconds, in which the next process may `adopt` it. 0: it is ended at once. */
  readonly lifeMs: number
  /**
   * Whose it is, as the text of a file. With another text there these rules do not hold any more: whoever wrote it has rules of
   * its own. Without the file nobody will come for the orphan, and it is ended at once.
   */
  readonly claim: { readonly path: string; readonly text: string } | null
  /** For what it has to give away, and so many milliseconds for it to do so. */
  readonly farewell: { readonly signal: 'SIGUSR2'; readonly ms: number } | null
  readonly stopMsMax: number
}

export interface ChildEvents {
  /**
   * Its process is there and has its id, and waits: the program begins when this has resolved. When it rejects, the program
   * is not started, and the error is that of `ended`. Not called for one that was adopted.
   */
  spawned?(pid: number): Promise<void>
  /** A line of its output (stdout and stderr), without the end of line, cut at `lineLengthMax` characters. */
  line(text: string): void
  /**
   * Last call, exactly once: it has ended, or could not be started (`error`, with a `code` such as `ENOENT`). Of one that
   * was adopted neither exit code nor signal is known.
   */
  ended(end: ChildEnd): void
}

export interface ChildEnd {
  readonly code: number | null
  readonly signal: string | null
  readonly error: Error | null
}

export interface ChildProcess {
  /** 0 when it could not be started. */
  readonly pid: number
  /** Does nothing when it has ended. */
  signal(name: ChildSignal): void
}

export type ChildSignal = 'SIGUSR2' | 'SIGTERM' | 'SIGKILL'

export interface ProgramOutput {
  readonly code: number | null
  /** stdout and stderr, at most 64 KiB. */
  readonly text: string
}

export interface ChildProcesses {
  /** That this process and its children may use. */
  readonly processors: number
  /** A signal from a terminal to this process does not reach it. */
  start(command: ChildCommand, events: ChildEvents): ChildProcess
  /**
   * Cares for a process that is no child, as if it had been started here. Its output stays where it goes. `ended` is called
   * for it as soon as no process has this id and `identity` any more; nobody else is ever signalled.
   */
  adopt(pid: number, identity: string, orphan: OrphanRules, events: ChildEvents): ChildProcess
  /** Runs a program to its end. Rejects when it cannot be started (`ENOENT`, `EACCES`) or takes longer. */
  run(program: string, args: readonly string[], msMax: number): Promise<ProgramOutput>
  /**
   * What tells a process from any later one with its id, such as when it began; null when this user has none with this id.
   * Rejects when there is one that the system hides: it may be any.
   */
  identity(pid: number): Promise<string | null>
  /** To a process that need not be a child; false when there is none. */
  signal(pid: number, name: ChildSignal): boolean
}

/** Longer lines of a child are cut. */
export const lineLengthMax = 4_096
