/**
 * What a command prints: results on stdout, remarks on stderr. When the reader of stdout has gone (`| head`), that is no
 * error: `gone` is called once, later output is dropped, and `isWritten` says false.
 */
export class Printer {
  readonly #stdout: NodeJS.WriteStream
  readonly #stderr: NodeJS.WriteStream
  readonly #gone: () => void
  readonly #hasColour: boolean
  #isGone = false
  #pending = 0
  #idle: (() => void)[] = []

  constructor(streams: { stdout: NodeJS.WriteStream; stderr: NodeJS.WriteStream }, settings: PrinterSettings) {
    this.#stdout = streams.stdout
    this.#stderr = streams.stderr
    this.#gone = settings.gone
    this.#hasColour = settings.hasColour && streams.stdout.isTTY === true
    streams.stdout.on('error', () => this.#end())
    streams.stderr.on('error', () => undefined)
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true
  }

  /** Lines and columns of the terminal; 24 × 80 where there is none. */
  get size(): { rows: number; columns: number } {
    return { rows: this.#stdout.rows || 24, columns: this.#stdout.columns || 80 }
  }

  /** `done` once the system has taken it, or not. In order. */
  write(chunk: string | Uint8Array, done: (isWritten: boolean) => void = () => {}): void {
    if (this.#isGone) return done(false)
    this.#pending++
    this.#stdout.write(chunk, (error) => {
      this.#pending--
      if (error) this.#end()
      done(!error)
      if (this.#pending === 0) for (const wake of this.#idle.splice(0)) wake()
    })
  }

  line(text: string): void {
    this.write(`${text}\n`)
  }

  /** A line for people, beside the results. */
  note(text: string): void {
    this.#stderr.write(`${text}\n`)
  }

  bold(text: string): string {
    return this.#hasColour ? `\x1b[1m${text}\x1b[22m` : text
  }

  /** Resolves when all has been taken. */
  flushed(): Promise<void> {
    if (this.#pending === 0 || this.#isGone) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #end(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#gone()
    for (const wake of this.#idle.splice(0)) wake()
  }
}

export interface PrinterSettings {
  readonly hasColour: boolean
  gone(): void
}
