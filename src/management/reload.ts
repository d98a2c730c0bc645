/** Reading the configuration of a running node again, as whoever asks for it sees it. */

/** Reads the configuration again and uses it. Rejects with a `ReloadRefused`; then all is as before. */
export type ReloadNode = () => Promise<ReloadReport>

/** What a configuration that was read again has changed. Keys of options. */
export interface ReloadReport {
  readonly changed: readonly string[]
  /** These are different in the configuration, and count from the next start. */
  readonly needsRestart: readonly string[]
  readonly warnings: readonly string[]
}

/** Nothing of a configuration is used when a part of it cannot be. Each problem is a sentence. */
export class ReloadRefused extends Error {
  readonly code = 'RELOAD_REFUSED'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}
