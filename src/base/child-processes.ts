/** Other programs as the program sees them. `system-child-processes.ts` starts real ones; tests have some that do as told. */

export interface ChildCommand {
  /** Path, or a name that is looked for on the PATH. */
  readonly program: string
  readonly args: readonly string[]
  /**
   * The child must not outlive this process, however that ends: it is told to end (SIGTERM), and killed when it has not
   * within `orphanMsMax`.
   */
  readonly orphanMsMax: number
  /** An orphan that has something to give away is sent this first, and SIGTERM so many milliseconds later. */
  readonly farewell?: { readonly signal: 'SIGUSR2'; readonly ms: number }
}

export interface ChildEvents {
  /** A line of its output (stdout and stderr), without the end of line, cut at `lineLengthMax` characters. */
  line(text: string): void
  /** Last call, exactly once: it has ended, or could not be started (`error`, with a `code` such as `ENOENT`). */
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
  /** A signal from a terminal to this process does not reach it. */
  start(command: ChildCommand, events: ChildEvents): ChildProcess
  /** Runs a program to its end. Rejects when it cannot be started (`ENOENT`, `EACCES`) or takes longer. */
  run(program: string, args: readonly string[], msMax: number): Promise<ProgramOutput>
  /** What tells a process from any later one with its id, such as when it began; null when there is none with this id. */
  identity(pid: number): Promise<string | null>
  /** To a process that need not be a child; false when there is none. */
  signal(pid: number, name: ChildSignal): boolean
}

/** Longer lines of a child are cut. */
export const lineLengthMax = 4_096
